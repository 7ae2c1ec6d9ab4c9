# revision = 'no'
revision = ( r'a' u"b" \
  """c\x41\u00e4\U0001F511\q""" )
down_revision = (
    None
)
branch_labels = 'x', ['y']  # 'y'
depends_on = {"a", }
if revision == 'c': pass
def upgrade(): pass
from .x import downgrade
