"""The aggregate ScalingPolicy, its states, and the evaluation of its rules; pure."""
