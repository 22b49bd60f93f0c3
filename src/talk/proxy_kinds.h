/* What proxy.c has of each kind of proxy. A step takes bytes by moving `bytes->at`, and returns as
 * proxy_step() does, but leaves it to that to look whether `send` has failed. */
#pragma once

#include "net/bytes.h"
#include "talk/proxy.h"

typedef int proxy_step_fn(struct proxy_negotiation *negotiation, struct bytes *bytes,
                          struct buffer *send, struct error *error);

proxy_step_fn proxy_http_step, proxy_socks4_step, proxy_socks5_step;

/* The host of a checked request as an address; with family ADDRESS_NONE it is a name. */
struct address proxy_host(const struct proxy_request *request);
