// Telling the service manager how we are (the sd_notify protocol, one datagram).
// The parent process only. Source: sd_notify(3).
#pragma once

/* "READY=1", "STOPPING=1". Does nothing where no service manager asked for it. */
void host_notify(const char *state);
