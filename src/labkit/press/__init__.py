"""The maker's wing of labkit: from chapters to notebooks and pages.

It imports neither PyTorch nor TensorFlow, and the learner's wing does not import it.
"""
