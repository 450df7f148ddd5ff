"""What `seqloom gc` may remove: files of runs, downloads and results that the policy does not keep, and why."""
