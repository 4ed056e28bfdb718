"""The ESP32 shell: the only place that imports machine, network and esp32."""
