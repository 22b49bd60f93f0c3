/* A channel that is a small HTTP server for one client: requests are written to it, and what is
 * read from it are the answers, pages that show the request as it came. */
#pragma once

#include "talk/channel.h"
#include "talk/http_page.h"

/* `told` is called for each complete request, before its answer; may be NULL. Returns 0 or -ENOMEM.
 */
int channel_http_new(const struct peer *remote, const struct peer *local,
                     void (*told)(void *user, const struct http_reader *request), void *user,
                     struct channel **ret_channel);
