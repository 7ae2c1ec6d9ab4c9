"""Add priority to questions

Revision ID: abc123def456
Revises: 989ceebf408f
Create Date: 2025-12-06 10:30:00.123456

With a note.
"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision: str = 'abc123def456'
down_revision: Union[str, Sequence[str], None] = '989ceebf408f'
branch_labels: Union[str, Sequence[str], None] = None
depends_on = ("a", 'b')


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column('q', sa.Column('p', sa.String()))
    if op.get_bind().execute("select 1").scalar():
        with op.get_context().autocommit_block():
            op.execute("COMMIT")


def downgrade() -> None:
    raise NotImplementedError; pass
