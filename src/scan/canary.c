/* The table of canaries and their epochs. */
#include "scan/canary.h"

#include "base/clock.h"

#include <stdlib.h>

#define MISSED_MAXIMUM 4
#define CANARY_LOOKS 8 /* at ports, for one that can be asked */
#define SPARED 5
#define SLOW 4000.0 /* packets a second */
#define MOSTLY                                                                                     \
    0.7 /* of an epoch's canaries: when so many answer, one that does not is to blame              \
         */

static struct canary_epoch *current(struct canaries *canaries)
{
    return &canaries->epochs[canaries->epoch % CANARY_EPOCHS];
}

static uint8_t tag_of(uint64_t epoch)
{
    return (uint8_t)(CANARY_TAG + epoch % CANARY_EPOCHS);
}

static void begin(struct canaries *canaries, uint64_t now)
{
    *current(canaries) = (struct canary_epoch){.began = now, .valid = true};
}

void canaries_init(struct canaries *canaries, double rate, uint64_t now)
{
    *canaries = (struct canaries){.key = key_from_seed(random_u64()), .rate = rate};
    begin(canaries, now);
}

static bool is_kept(const struct canaries *canaries, uint64_t index)
{
    for (uint32_t i = 0; i < canaries->count; i++)
        if (canaries->items[i].index == index)
            return true;
    return false;
}

static uint32_t count_of(const struct canaries *canaries, uint64_t host)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < canaries->count; i++)
        count += canaries->items[i].host == host;
    return count;
}

/* Whether another port may come in its place: otherwise its answer would be missed. */
static bool is_replaceable(const struct canary *canary)
{
    return !canary->tag || canary->heard;
}

/* Finds a host that has more than one host is to have, if there is one. */
static void find_crowd(struct canaries *canaries)
{
    canaries->crowded = false;
    for (uint32_t i = 0; i < canaries->count && !canaries->crowded; i++) {
        canaries->crowd = canaries->items[i].host;
        canaries->crowded = count_of(canaries, canaries->crowd) > CANARIES_HOST;
    }
}

/* One of its canaries that may be replaced, or NULL. */
static struct canary *find_crowded(struct canaries *canaries)
{
    if (canaries->crowded && count_of(canaries, canaries->crowd) <= CANARIES_HOST)
        find_crowd(canaries);
    for (uint32_t i = 0; i < canaries->count && canaries->crowded; i++) {
        struct canary *canary = &canaries->items[i];
        if (canary->host == canaries->crowd && is_replaceable(canary))
            return canary;
    }
    return NULL;
}

/* The canary that the port of a host is to replace, or NULL. */
static struct canary *find_place(struct canaries *canaries, uint64_t host, uint64_t place)
{
    if (canaries->crowded && host != canaries->crowd && count_of(canaries, host) < CANARIES_HOST) {
        struct canary *crowded = find_crowded(canaries);
        if (crowded)
            return crowded;
    }
    if (place >= CANARIES)
        return NULL;
    struct canary *canary = &canaries->items[place];
    bool fair = canary->host == host || count_of(canaries, host) < CANARIES_HOST;
    return fair && is_replaceable(canary) ? canary : NULL;
}

void canaries_offer(struct canaries *canaries, uint64_t index, uint64_t host, uint64_t rtt)
{
    uint64_t place = canaries->seen++;
    struct canary *canary;
    if (place >= CANARIES)
        place = siphash(&canaries->key, &place, sizeof(place)) % canaries->seen;
    if (canaries->count < CANARIES)
        canary = &canaries->items[canaries->count];
    else if (place < CANARIES || (canaries->crowded && host != canaries->crowd))
        canary = find_place(canaries, host, place);
    else
        return;
    if (!canary || is_kept(canaries, index))
        return;
    canaries->count += canary == &canaries->items[canaries->count];
    *canary = (struct canary){.index = index, .host = host, .least = rtt};
    if (count_of(canaries, host) > CANARIES_HOST) {
        canaries->crowd = host;
        canaries->crowded = true;
    }
}

void canaries_forget(struct canaries *canaries, uint64_t first, uint64_t end)
{
    for (uint32_t i = 0; i < canaries->count;)
        if (canaries->items[i].index >= first && canaries->items[i].index < end)
            canaries->items[i] = canaries->items[--canaries->count];
        else
            i++;
}

void canaries_count(struct canaries *canaries, uint64_t packets, uint64_t refused, uint64_t missed)
{
    struct canary_epoch *epoch = current(canaries);
    epoch->packets += packets;
    epoch->refused += refused;
    epoch->missed += missed;
}

uint32_t canaries_stride(const struct canaries *canaries)
{
    uint32_t stride = canaries->rate < SLOW ? 3 : 8;
    return canaries->sparing ? SPARED * stride : stride;
}

uint32_t canaries_wanted(const struct canaries *canaries)
{
    return canaries->rate < SLOW ? CANARY_MOST / 2 : CANARY_MOST;
}

/* The next one in turn whose last answer has come, or will not come any more: a port that is asked
 * anew too soon would take the earlier answer with it. */
static struct canary *take_rested(struct canaries *canaries, uint64_t now, uint64_t grace)
{
    for (uint32_t tried = 0; tried < canaries->count && tried < CANARY_LOOKS; tried++) {
        if (canaries->cursor >= canaries->count)
            canaries->cursor = 0;
        struct canary *canary = &canaries->items[canaries->cursor++];
        bool asked_now = canary->asked >= current(canaries)->began;
        if (!canary->tag || (!asked_now && (canary->heard || now - canary->asked >= grace)))
            return canary;
    }
    return NULL;
}

bool canaries_next(struct canaries *canaries, uint64_t now, uint64_t grace, uint64_t *ret_index,
                   uint8_t *ret_tag)
{
    struct canary_epoch *epoch = current(canaries);
    uint8_t tag = tag_of(canaries->epoch);
    if (epoch->asked >= canaries_wanted(canaries) || epoch->asked >= canaries->count ||
        (uint64_t)epoch->asked * canaries_stride(canaries) > epoch->packets)
        return false;
    struct canary *canary = take_rested(canaries, now, grace);
    if (!canary)
        return false;
    canary->tag = tag;
    canary->asked = now;
    canary->heard = false;
    epoch->asked++;
    *ret_index = canary->index;
    *ret_tag = tag;
    return true;
}

void canaries_hear(struct canaries *canaries, uint64_t index, uint8_t tag, uint64_t time)
{
    struct canary_epoch *epoch = &canaries->epochs[tag % CANARY_EPOCHS];
    for (uint32_t i = 0; i < canaries->count; i++) {
        struct canary *canary = &canaries->items[i];
        if (canary->index != index || canary->tag != tag || canary->heard)
            continue;
        uint64_t rtt = time > canary->asked ? time - canary->asked : 1;
        canary->heard = true;
        canary->missed = 0;
        if (!canary->least || rtt < canary->least)
            canary->least = rtt;
        if (epoch->heard < CANARY_MOST)
            epoch->delays[epoch->heard++] = rtt - canary->least;
        return;
    }
}

static void end(struct canaries *canaries, uint64_t now)
{
    current(canaries)->ended = now;
    canaries->epoch++;
    if (canaries->epoch - canaries->judged >= CANARY_EPOCHS)
        canaries->judged = canaries->epoch - CANARY_EPOCHS + 1;
    begin(canaries, now);
}

void canaries_turn(struct canaries *canaries, uint64_t now, uint64_t length)
{
    const struct canary_epoch *epoch = current(canaries);
    if (now - epoch->began < length)
        return;
    uint32_t wanted = canaries_wanted(canaries);
    wanted = canaries->count < wanted ? canaries->count : wanted;
    bool enough = epoch->asked >= wanted && wanted > 0;
    bool late = now - epoch->began > (epoch->asked ? 2 : 20) * length;
    if (enough || late)
        end(canaries, now);
}

/* A port that is silent while the others answer says something about itself and not about the
 * path. */
static void blame_silent(struct canaries *canaries, uint8_t tag)
{
    for (uint32_t i = 0; i < canaries->count;) {
        struct canary *canary = &canaries->items[i];
        if (canary->tag == tag && !canary->heard && ++canary->missed >= MISSED_MAXIMUM)
            *canary = canaries->items[--canaries->count];
        else
            i++;
    }
}

static int compare_delays(const void *one, const void *other)
{
    uint64_t first = *(const uint64_t *)one, second = *(const uint64_t *)other;
    return first < second ? -1 : first > second;
}

/* Of most, so that a few hosts that take their time do not slow all down. */
static double median_delay(struct canary_epoch *epoch)
{
    if (!epoch->heard)
        return -1;
    qsort(epoch->delays, epoch->heard, sizeof(*epoch->delays), compare_delays);
    return (double)epoch->delays[epoch->heard / 2] / NANOSECONDS_PER_SECOND;
}

bool canaries_judge(struct canaries *canaries, uint64_t now, uint64_t grace,
                    struct epoch *ret_epoch)
{
    while (canaries->judged < canaries->epoch) {
        struct canary_epoch *epoch = &canaries->epochs[canaries->judged % CANARY_EPOCHS];
        if (epoch->valid && epoch->heard < epoch->asked &&
            (now < epoch->ended || now - epoch->ended < grace))
            return false;
        uint8_t tag = tag_of(canaries->judged++);
        if (!epoch->valid || epoch->ended <= epoch->began)
            continue;
        double seconds = (double)(epoch->ended - epoch->began) / (double)NANOSECONDS_PER_SECOND;
        *ret_epoch = (struct epoch){
            .rate = (double)epoch->packets / seconds,
            .asked = epoch->asked,
            .heard = epoch->heard,
            .delay = median_delay(epoch),
            .refused = epoch->refused,
            .missed = epoch->missed,
        };
        if (epoch->heard < epoch->asked && epoch->heard >= MOSTLY * epoch->asked)
            blame_silent(canaries, tag);
        return true;
    }
    return false;
}

void canaries_restart(struct canaries *canaries, double rate, uint64_t now)
{
    canaries->rate = rate;
    for (unsigned i = 0; i < CANARY_EPOCHS; i++)
        canaries->epochs[i].valid = false;
    if (current(canaries)->packets)
        end(canaries, now);
    else
        begin(canaries, now);
}
