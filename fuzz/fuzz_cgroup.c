/* Fuzzing of cgroup_read(): what comes of it could stand in a shell's command line, is part of the
 * text, and the same when the text is read again. */
#include "local/owner.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_word(const char *text, const char *others)
{
    require(*text != '\0' && strlen(text) < 256);
    for (; *text; text++)
        require((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                (*text >= '0' && *text <= '9') || strchr(others, *text));
}

static bool same(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct arena arena = {0};
    struct process process = {0}, again = {0};
    const char *text = (const char *)bytes;
    require(cgroup_read(text, length, &arena, &process) == 0);
    require((process.container == NULL) == (process.container_runtime == NULL));
    require(!process.user_unit || process.unit);
    if (process.container)
        require_word(process.container, "._-");
    if (process.unit) {
        require_word(process.unit, ":_.\\@-");
        require(memmem(text, length, process.unit, strlen(process.unit)) != NULL);
        require(strchr(process.unit, '.') != NULL);
    }
    require(cgroup_read(text, length, &arena, &again) == 0);
    require(same(process.unit, again.unit) && same(process.container, again.container) &&
            same(process.container_runtime, again.container_runtime) &&
            process.user_unit == again.user_unit);
    arena_release(&arena);
    return 0;
}
