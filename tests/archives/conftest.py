from tests.support.fixtures import bench, key

__all__ = ["bench", "key"]
