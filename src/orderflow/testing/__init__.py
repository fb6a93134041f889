"""What users test their own lifecycles and services with."""
