"""What a read of a surface can say: the kernel's three answers, under the names of this package."""

from shared.kernel.world import Absent, Present, Reading, Unknown

__all__ = ["Absent", "Present", "Reading", "Unknown"]
