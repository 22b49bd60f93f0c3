/* What was counted, as JSON. */
#include "simnet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool counters_open(struct counters *ret_counters)
{
    *ret_counters = (struct counters){.windows = calloc(WINDOWS_MAXIMUM, sizeof(uint32_t))};
    return ret_counters->windows != NULL;
}

static void write_rates(FILE *file, const struct counters *counters)
{
    uint32_t peak = 0;
    fputs("  \"windows\": [", file);
    for (size_t i = 0; i < counters->window_count; i++) {
        fprintf(file, "%s%u", i ? ", " : "", counters->windows[i]);
        if (counters->windows[i] > peak)
            peak = counters->windows[i];
    }
    double time = (double)(counters->last - counters->first) / 1e9;
    double mean = time > 0 ? (double)(counters->probes - 1) / time : 0;
    fprintf(file, "],\n  \"window\": %g,\n  \"peak_rate\": %g,\n  \"mean_rate\": %.6g,\n",
            (double)WINDOW_TIME / 1e9, peak / ((double)WINDOW_TIME / 1e9), mean);
    fprintf(file, "  \"first\": %.9f,\n  \"last\": %.9f,\n", (double)counters->first / 1e9,
            (double)counters->last / 1e9);
}

static bool write_json(FILE *file, const struct counters *counters,
                       const struct device_drops *drops)
{
    fputs("{\n", file);
#define COUNTER(name, what)                                                                        \
    fprintf(file, "  \"%s\": %llu,\n", #name, (unsigned long long)counters->name);
    COUNTERS
#undef COUNTER
    write_rates(file, counters);
    /* Not what the device counts as dropped on receiving: a scanner's own program may take its
     * answers there, which counts as that. */
    uint64_t own = drops->transmit + counters->write_failed + counters->events_exhausted;
    fprintf(file, "  \"late\": %.6f,\n  \"backlog\": %llu,\n", (double)counters->late / 1e9,
            (unsigned long long)counters->backlog);
    fprintf(file, "  \"device_dropped\": %llu,\n  \"device_refused\": %llu,\n",
            (unsigned long long)drops->transmit, (unsigned long long)drops->receive);
    fprintf(file, "  \"own_drops\": %llu\n}\n", (unsigned long long)own);
    return fflush(file) == 0 && !ferror(file);
}

bool counters_write(const struct counters *counters, const struct device_drops *drops,
                    const char *path)
{
    char temporary[4096];
    int length = snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = length < (int)sizeof temporary ? fopen(temporary, "we") : NULL;
    bool done = file && write_json(file, counters, drops);
    if (file && fclose(file) != 0)
        done = false;
    if (done && rename(temporary, path) == 0)
        return true;
    fprintf(stderr, "simnet: %s: %s\n", path, strerror(errno));
    return false;
}
