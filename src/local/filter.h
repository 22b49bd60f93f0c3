/* Which sockets to show, in words: "port 8080 and not loopback", and ss's "( sport = :22 or dst
 * 10.0.0.0/8 ) and state established". */
#pragma once

#include "base/error.h"
#include "local/diag.h"
#include "local/exposure.h"
#include "local/owner.h"

struct filter;

/* Compiles words (as the shell gave them, joined by blanks). ASCII case does not matter. Weakest
 * first: or (|, ||), and (&, &&, or nothing at all in between), not (!), parentheses, and
 *
 *   state NAME         a state or several ("listen,established"), or a group as ss has them: all,
 *                      connected, synchronized, bucket, big; alone, the name is enough. In "state
 *                      A state B exclude C" the names make one set
 *   listening          waits for whoever comes: also a UDP socket without a peer
 *   port P, sport P, dport P
 *                      "22", ":22", "ssh", "8000-8010", "80,443"; or after one of the operators
 *                      = == != < > <= >= eq ne lt gt le ge. Of either side, the own or the other
 *   host H, src H (local), dst H (peer, remote)
 *                      "10.0.0.0/8", "10/8", "[::1]:80", "127.0.0.1:http", ":22", "*:22", "any",
 *                      "inet6:*"; src takes a Unix socket's path, too. Hosts' names are not
 *                      looked up
 *   pid N, inode N     also "100-200", and after an operator
 *   process NAME, unit NAME, container NAME, path NAME, dev NAME
 *                      with * and ?; after = or !=
 *   user NAME, fwmark VALUE[/MASK], cgroup PATH
 *   tcp, udp, unix, …; ipv4, ipv6 (the socket's, as with ss's -4)
 *   loopback, everywhere, exposed (waits, and can be reached from outside), autobound
 *
 * What stands between quotation marks is one word. Returns 0 (with NULL when there are only
 * blanks), or -EINVAL with an error that has the column, or -ENOMEM. */
int filter_parse(const char *const *words, size_t count, struct filter **ret_filter,
                 struct error *error);
void filter_free(struct filter *filter);

/* What the kernel can be asked to leave out already: narrows `query`. When nothing can match, no
 * kinds are left in it. */
void filter_narrow(const struct filter *filter, struct diag_query *query);

/* Kinds and states that the words ask for, as bits, so that what is listed by default does not
 * stand in their way; 0: they speak of none. Who asks for a peer, or for those that somebody holds,
 * asks for every state. */
uint32_t filter_kinds(const struct filter *filter);
uint32_t filter_states(const struct filter *filter);
/* Those of the states that the words name, not to leave them out; 0: none. */
uint32_t filter_named_states(const struct filter *filter);

/* Does it need to know who holds the sockets, and more of them than owners_find() tells without
 * `details`? */
bool filter_needs_owners(const struct filter *filter);
bool filter_needs_details(const struct filter *filter);

/* `owners` may be NULL when it does not. NULL is a filter that takes all. `map` is that of the
 * socket's namespace; without one, only addresses tell what is loopback, and no interface has a
 * name. */
bool filter_match(const struct filter *filter, const struct socket_entry *entry,
                  const struct owners *owners, const struct exposure_map *map);
