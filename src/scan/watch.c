/* The watch over hosts that answer only so often. */
#include "scan/watch.h"

#include "scan/chance.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define LATE_LEAST 8    /* answers, below which a share says nothing */
#define LATE_SHARE 0.25 /* few paths lose so much */
#define LATE_MOST 1.5   /* as large as the median, where that is large */
#define UNSURE 0.95     /* no loss seen is not no loss */
#define CANARIES 100    /* at least that the path's share is known from */
#define LATE_TIMES 3    /* as large as the median of all hosts */
#define LATE_MARGIN 0.05
#define CHECKS_LEAST 3
#define SHARE_LEAST 0.05
#define SAMPLE 1023   /* hosts by which the others are measured */
#define MISTAKEN 0.02 /* hosts of all, a pass, that may be taken for limited by chance */

int watch_init(struct watch *watch, uint64_t hosts)
{
    *watch = (struct watch){0};
    if (hosts > WATCH_HOSTS)
        return 0;
    watch->hosts = calloc(hosts, sizeof(*watch->hosts));
    if (!watch->hosts)
        return -ENOMEM;
    watch->count = hosts;
    return 0;
}

void watch_release(struct watch *watch)
{
    free(watch->hosts);
    *watch = (struct watch){0};
}

void watch_hear(struct watch *watch, uint64_t host, uint32_t port, bool late, bool refused)
{
    if (!watch->count)
        return;
    struct host_watch *watched = &watch->hosts[host];
    if (late)
        watched->before++;
    else
        watched->now++;
    if (refused && !watched->refused)
        watched->refused = port + 1;
}

bool watch_check(struct watch *watch, uint64_t host, double share, uint32_t *ret_port)
{
    if (!watch->count)
        return false;
    struct host_watch *watched = &watch->hosts[host];
    if (!watched->refused || watched->checks >= WATCH_CHECKS ||
        share * WATCH_CHECKS < watched->checks)
        return false;
    watched->checks++;
    *ret_port = watched->refused - 1;
    return true;
}

void watch_check_answer(struct watch *watch, uint64_t host)
{
    if (watch->count && watch->hosts[host].answers < watch->hosts[host].checks)
        watch->hosts[host].answers++;
}

void watch_restart(struct watch *watch)
{
    for (uint64_t host = 0; host < watch->count; host++) {
        watch->hosts[host].before += watch->hosts[host].now;
        watch->hosts[host].now = 0;
    }
}

static double late_share(const struct host_watch *watched)
{
    return watched->now / (watched->before + 1.0);
}

static int compare_shares(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return difference < 0 ? -1 : difference > 0;
}

/* How much of what is asked comes back. The canaries say it from so few that their share is only
 * known to be above something; all checks together say it more precisely, where most hosts are not
 * limited. */
static double find_share(const struct watch *watch, double share)
{
    uint64_t checks = watch->checks, answers = watch->answers;
    for (uint64_t host = 0; host < watch->count; host++) {
        checks += watch->hosts[host].checks;
        answers += watch->hosts[host].answers;
    }
    share = fmin(share, UNSURE);
    double least = share - 2 * sqrt(share * (1 - share) / CANARIES);
    return fmax(SHARE_LEAST, fmax(least, fmin(UNSURE, (double)answers / ((double)checks + 1))));
}

void watch_measure(struct watch *watch, double share)
{
    double shares[SAMPLE];
    size_t count = 0;
    uint64_t step = watch->count / SAMPLE + 1;
    for (uint64_t host = 0; host < watch->count && count < SAMPLE; host += step)
        if (watch->hosts[host].before + watch->hosts[host].now >= LATE_LEAST)
            shares[count++] = late_share(&watch->hosts[host]);
    watch->share = find_share(watch, share);
    watch->checked = 0;
    for (uint64_t host = 0; host < watch->count; host++)
        watch->checked += watch->hosts[host].checks >= CHECKS_LEAST;
    watch->limit = LATE_SHARE;
    watch->late = 1 - UNSURE;
    if (!count)
        return;
    qsort(shares, count, sizeof(*shares), compare_shares);
    double median = shares[count / 2];
    watch->limit = fmin(LATE_TIMES * median + LATE_MARGIN, fmax(LATE_SHARE, LATE_MOST * median));
    watch->late = fmax(watch->late, fmin((median + LATE_MARGIN) / (1 + median), 0.5));
}

/* More late answers than of other hosts, and more than chance explains. */
static bool is_late(const struct watch *watch, const struct host_watch *watched)
{
    unsigned heard = watched->before + watched->now;
    return watched->now >= LATE_LEAST && late_share(watched) > watch->limit &&
           chance_of_at_most(watched->before, heard, 1 - watch->late) <
               MISTAKEN / (double)watch->count;
}

/* Fewer answers than chance explains on this path, of so many hosts. */
static bool leaves_unanswered(const struct watch *watch, const struct host_watch *watched)
{
    return watched->checks >= CHECKS_LEAST &&
           chance_of_at_most(watched->answers, watched->checks, watch->share) <
               MISTAKEN / (double)watch->checked;
}

bool watch_is_limited(struct watch *watch, uint64_t host, uint32_t *ret_heard, uint32_t *ret_late)
{
    struct host_watch *watched = &watch->hosts[host];
    bool limited = is_late(watch, watched) || leaves_unanswered(watch, watched);
    if (!limited) {
        watch->checks += watched->checks;
        watch->answers += watched->answers;
    }
    *ret_heard = watched->before + watched->now;
    *ret_late = watched->now;
    watched->before += watched->now;
    watched->now = 0;
    watched->checks = watched->answers = 0;
    return limited;
}
