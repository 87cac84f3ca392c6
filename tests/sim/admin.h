// Somebody who changes what is configured while all kinds of things happen: tunnels, keys, endpoints, identities, routes. First at the
// gateways, as the api does, then at the site, whose process is started again for that.
#pragma once

#include "process.h"

void admin_change(struct process *site); /* something */
void admin_step(unsigned honest);        /* sites whose file was changed a while ago */
/* All changes come to their end. Some tunnels that were deleted stay so. */
void admin_end(void);
