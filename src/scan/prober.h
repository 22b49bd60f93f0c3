/* The one interface between the scan loop and whatever asks the ports: "submit these", "what
 * came?". A prober is one file in src/probe and one row in src/probe/probe.def. */
#pragma once

#include "base/error.h"
#include "scan/plan.h"
#include "scan/reply.h"
#include "scan/walk.h"

struct link_class;

struct probe {
    struct endpoint to;
    uint64_t index;    /* handed back in the reply */
    uint64_t position; /* handed back in the reply; see oldest() */
    uint8_t tag;       /* below PROBE_TAGS; handed back in the reply */
};

/* A tag tells askings of the same port apart: the packets of different tags differ, so that even a
 * late answer says which of them it answers. */
#define PROBE_TAGS 16
#define PASS_TAGS 7 /* those below it are of passes, in turn, which ask a port once each */

struct prober_options {
    const struct plan *plan; /* what will be asked; borrowed, outlives the prober */
    uint32_t in_flight; /* attempts wanted at the same time; fewer when the machine gives less */
    uint32_t interface; /* index of the one that packets must leave by; 0: the kernel's choice */
    bool walks; /* whether the scan can keep its ledger where the prober says, and have it walk */
    const struct link_class *link; /* of a raw prober: the only one to use; NULL: by the route */
    const char *link_path;         /* of a link that is a file */

    /* After how many nanoseconds nothing heard of an index is a REPLY_SILENCE, by what is known
     * now: asked again while an attempt waits, because the first answers of a host tell how far
     * away it is. */
    uint64_t (*timeout)(void *user, uint64_t index);
    void *user;
};

struct prober_facts {
    uint32_t capacity;  /* attempts it can hold at the same time now; shrinks with the machine */
    uint32_t in_flight; /* attempts without a reply */
    uint64_t packets;   /* probes that left, for the summary */
    uint64_t
        refused;     /* packets that this machine did not let leave, and that were not sent again */
    uint64_t missed; /* answers that this machine had no room for */
    const char *limit; /* what holds the capacity down ("file descriptors", …), or NULL */
    bool walks;        /* walk() can be called now */
    uint64_t left_out; /* hosts that it has left out of its walks from the beginning */
    const char *link;  /* by which most packets leave: a name of link.def, or NULL for sockets */
    const char *link_reason; /* why it is that one and not one before it in link.def, or NULL */
};

struct prober; /* each class has its own; the class is its first member */

struct prober_class {
    const char *name;    /* "tcp-connect" */
    const char *summary; /* one phrase for the help and the records */
    enum protocol protocol;
    struct state_words words;

    /* It keeps no attempts: it tells answers and failures only, never silence, counts nothing in
     * flight, and the scan loop decides how long answers may take. Its pace is the loop's to find.
     */
    bool stateless;
    const struct technique *technique; /* of raw probers; private to src/probe */

    /* Whether this process has the rights for it; NULL: it needs none. Returns 0, or the positive
     * errno that open() would meet. */
    int (*permitted)(void);

    /* Returns 0 with a prober that the caller closes, or -errno with an error. A raw prober needs
     * rights for this, and for nothing afterwards. */
    int (*open)(const struct prober_class *class, const struct prober_options *options,
                struct prober **ret_prober, struct error *error);
    void (*close)(struct prober *prober);

    /* Takes the first probes of `probes` that it has room for, in order, copying them, and returns
     * how many. Every probe taken gets exactly one reply (but see `stateless`). When the machine is
     * out of something (ports, memory) it takes fewer and is asked again later; it never waits. */
    size_t (*submit)(struct prober *prober, const struct probe *probes, size_t count);

    /* Waits until a reply is there, `wait` nanoseconds have passed or a signal came, then writes up
     * to `room` replies and returns how many. Answers that are there are told before time-outs. */
    size_t (*collect)(struct prober *prober, uint64_t wait, struct reply *replies, size_t room);

    /* The smallest position in flight, or UINT64_MAX: everything before it is settled, or, of a
     * stateless prober, has left. */
    uint64_t (*oldest)(const struct prober *prober);

    struct prober_facts (*facts)(const struct prober *prober);

    /* Only of stateless probers, and NULL of others: passes that it walks by itself, because its
     * link can (the calls of the same names in scan/link.h). */
    uint64_t *(*ledger)(struct prober *prober); /* NULL: it will not walk */
    void (*avoid)(struct prober *prober, uint64_t host);
    bool (*avoids)(const struct prober *prober, uint64_t host);

    /* Asks all silent indexes from `walk->position` to its end, soon, and counts as in flight until
     * it has. Returns false when it has enough to do, and is asked again later. */
    bool (*walk)(struct prober *prober, const struct walk *walk);
    struct walk_facts (*walked)(struct prober *prober);
};

struct prober {
    const struct prober_class *class;
};

/* Every prober of src/probe/probe.def, in its order, NULL-terminated. The first needs no rights. */
extern const struct prober_class *const prober_classes[];

/* The one of this name, or NULL. */
const struct prober_class *prober_find(const char *name);
