"""`ArgusCallback` for Lightning, the Hugging Face Trainer and Keras 3, one module per framework.

Importing this package imports none of them; `argus_integrations.lightning` imports Lightning, and so on.
"""
