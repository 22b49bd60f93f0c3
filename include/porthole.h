/* libporthole: which ports of a host are open, closed or filtered, and how that is known.
 *
 * The library never prints and never exits. Functions return 0 or a negative errno; a scan keeps a
 * sentence about its last failure. A scan object belongs to one thread at a time, but
 * porthole_scan_cancel() may be called from any thread and from signal handlers. Several scans may
 * run in several threads. While a scan runs, the process's soft limit of descriptors is raised to
 * the hard limit, and put back afterwards.
 *
 *     struct porthole_scan *scan;
 *     porthole_scan_new(&scan);
 *     porthole_scan_add_targets(scan, "192.0.2.0/28");
 *     porthole_scan_add_ports(scan, "22,80,443");
 *     porthole_scan_run(scan, print_port, NULL, NULL);
 *     porthole_scan_free(scan);
 *
 * Compile with `pkg-config --cflags --libs libporthole`. */
#ifndef PORTHOLE_H
#define PORTHOLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PORTHOLE_API __attribute__((visibility("default")))
#else
#define PORTHOLE_API
#endif

/* "0.1.0" */
PORTHOLE_API const char *porthole_version(void);

enum porthole_state {
    PORTHOLE_OPEN = 1,          /* the target accepted the connection */
    PORTHOLE_CLOSED = 2,        /* the target refused it with a RST */
    PORTHOLE_FILTERED = 3,      /* an ICMP error said so, or nothing came back after all tries */
    PORTHOLE_UNFILTERED = 4,    /* it can be reached, but this way of asking does not tell open
                                   from closed (ACK scans) */
    PORTHOLE_OPEN_FILTERED = 5, /* open or filtered: nothing came back, and an open port would not
                                   have answered either (FIN, NULL, Xmas and Maimon scans) */
};

/* One port whose state is known. The strings live until the callback returns. */
struct porthole_port {
    const char *address; /* text, "192.0.2.1" or "2001:db8::1" or "fe80::1%eth0" */
    uint16_t port;       /* host order */
    enum porthole_state state;
    const char *reason; /* nmap's word for the evidence: "syn-ack", "conn-refused", "no-response",
                           "port-unreach", … */
    const char *from;   /* who sent the ICMP error when it was not the target, else NULL */
    unsigned tries;     /* attempts made until this was known */
    double rtt;         /* seconds; 0 when nothing came back */
};

/* Called by porthole_scan_run(), in its thread, once for each port, as states become known; silent
 * ports come at the end. A non-zero return ends the scan, and a negative one is what the scan then
 * returns. */
typedef int porthole_port_fn(void *user, const struct porthole_port *port);

struct porthole_summary {
    uint64_t open, closed, filtered, unfiltered, open_filtered; /* ports */
    uint64_t undecided; /* not decided when the scan was cancelled */
    uint64_t errors;    /* that this machine could not ask about: no state is known */
    uint64_t probes;    /* attempts made */
    double seconds;
    double recall;     /* estimated share of the answering ports that were heard, 0 to 1;
                          negative when nothing is known about it */
    double recall_low; /* lower end of its 95% confidence interval */
    int cancelled;     /* 1 when the scan ended before its time */
};

struct porthole_scan;

/* A scan of nothing yet. Returns 0 or -ENOMEM. */
PORTHOLE_API int porthole_scan_new(struct porthole_scan **ret_scan);
PORTHOLE_API void porthole_scan_free(struct porthole_scan *scan); /* NULL is allowed */

/* Add and take away targets: words as `porthole scan` takes them, separated by blanks (addresses,
 * networks, ranges, host names, which are resolved at once). What is excluded stays excluded.
 * Return 0, -EINVAL for a word that is wrong, what the resolver said (-ENOENT, -EAGAIN), or
 * -ENOMEM. */
PORTHOLE_API int porthole_scan_add_targets(struct porthole_scan *scan, const char *words);
PORTHOLE_API int porthole_scan_exclude_targets(struct porthole_scan *scan, const char *words);

/* Adds TCP ports as `porthole scan -p` takes them: "22,80,8000-8100,http*". Without any, the 1000
 * most often open ports are scanned. Returns 0, -EINVAL, -ERANGE or -ENOMEM. */
PORTHOLE_API int porthole_scan_add_ports(struct porthole_scan *scan, const char *ports);

/* How ports are asked: "tcp-connect" (the default, through the kernel's sockets, which needs no
 * rights), or by raw packets "tcp-syn", "tcp-ack", "tcp-window", "tcp-fin", "tcp-null", "tcp-xmas"
 * or "tcp-maimon", for which porthole_scan_run() needs the right to send them (CAP_NET_RAW) when it
 * begins; without it, it returns -EPERM or -EACCES. The library never gives up rights of its
 * process. Returns 0, or -EINVAL for another name. */
PORTHOLE_API int porthole_scan_set_technique(struct porthole_scan *scan, const char *name);

/* Bounds, 0 for the default: attempts at a silent port (at most 50), probes a second, attempts at
 * the same time (of "tcp-connect"), and milliseconds to wait for a host that has not answered yet.
 */
PORTHOLE_API void porthole_scan_set_tries(struct porthole_scan *scan, unsigned tries);
PORTHOLE_API void porthole_scan_set_rate(struct porthole_scan *scan, uint64_t rate);
PORTHOLE_API void porthole_scan_set_in_flight(struct porthole_scan *scan, uint32_t in_flight);
PORTHOLE_API void porthole_scan_set_timeout(struct porthole_scan *scan, unsigned milliseconds);

/* Runs the scan to its end. `port` and `ret_summary` may be NULL. May be called again for another
 * run. Returns 0 (also when cancelled), or -errno when it could not begin or go on. */
PORTHOLE_API int porthole_scan_run(struct porthole_scan *scan, porthole_port_fn *port, void *user,
                                   struct porthole_summary *ret_summary);

/* Ends a running scan within a tenth of a second, or the next one before it begins. */
PORTHOLE_API void porthole_scan_cancel(struct porthole_scan *scan);

/* What the last failure of a call with this scan was, or after a run whose summary counts errors
 * what this machine failed to ask first and why: a sentence without a full stop; "" for none. The
 * string lives until the next call with the scan. */
PORTHOLE_API const char *porthole_scan_error(const struct porthole_scan *scan);

/* The open TCP ports of `address` (an address or a host name, of which the system's first address
 * is taken) from `first` to `last`, both included. Writes the lowest `capacity` of them, ascending,
 * to `ports`, and to `ret_count` how many there are, which may be more. Returns 0, -EINVAL when
 * `last` is below `first` or the address is none, or -errno, also when this machine failed to ask
 * about some of the ports. */
PORTHOLE_API int porthole_open_ports(const char *address, uint16_t first, uint16_t last,
                                     uint16_t *ports, size_t capacity, size_t *ret_count);

#ifdef __cplusplus
}
#endif

#endif
