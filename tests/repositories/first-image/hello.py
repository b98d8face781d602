"""What a pod from the image says, so that one can see that it is this image."""

import platform

print(f"Hello from the first image, with Python {platform.python_version()}.")
