"""What register_model is made of: how a result is described, and how a version is judged beside the champion."""
