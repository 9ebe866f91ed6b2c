"""Writes the config that transformers' GptOssConfig has when nothing is said.

    python tools/reference/default_config.py test/models/fixtures/default_config.json

Made with transformers 5.23.0.
"""

import json
import sys

from transformers import GptOssConfig

with open(sys.argv[1], "w") as file:
    json.dump(GptOssConfig().to_dict(), file, indent=1)
    file.write("\n")
