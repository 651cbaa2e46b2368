"""How long a test waits for what must come.

It is no rule of the product: a machine that others use too may be five times slower, and a test
that waits for something that has come ends at once. What must be quick is shown in another way: by
the processor time that it took, or beside what would take much longer.
"""

from typing import Final

PATIENCE_S: Final = 300.0
