"""x
revision = make_id()
"""
revision = f'{x}'
down_revision = b"a"
