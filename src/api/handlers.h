// The handlers of the API's calls, one for each row of the table in dispatch.c.
// Inside api only; its one thread. A handler fails the call or sets its answer.
#pragma once

#include "api/call.h"

typedef void api_handler(struct api_call *c);

/* tunnels.c */
api_handler api_tunnels_list, api_tunnels_create, api_tunnels_bulk_update;
api_handler api_tunnel_get, api_tunnel_update, api_tunnel_delete;
/* psk.c */
api_handler api_psk_generate, api_psk_set;
/* routes.c */
api_handler api_routes_list, api_routes_create, api_routes_bulk_update, api_routes_bulk_delete;
api_handler api_route_get, api_route_update, api_route_delete;
/* accounts.c */
api_handler api_accounts_list, api_account_get;
api_handler api_admin_account_create, api_admin_account_update, api_admin_account_delete;
/* tokens.c */
api_handler api_token_verify, api_admin_tokens_list, api_admin_token_create, api_admin_token_revoke;
/* status.c */
api_handler api_status_list, api_status_tunnel, api_admin_status, api_suites_list, api_tunnel_why, api_admin_unknown;
api_handler api_admin_nodes, api_admin_node_ready, api_admin_node_drain, api_admin_node_undrain;
/* rekey.c */
api_handler api_tunnel_rekey;
