"""Parts of register_model: the description of a result, and the comparison of a version with the champion."""
