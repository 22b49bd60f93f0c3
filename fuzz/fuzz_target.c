/* Fuzzing of target_parse(): whatever it takes has a canonical text that means the same, and
 * whatever it refuses is explained at a place inside the word. */
#include "net/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Larger sets are not read back, to keep the fuzzer fast. */
#define RANGES_READ_BACK 256

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static int read_back(void *user, const char *word, size_t length, unsigned line,
                     struct error *error)
{
    (void)line;
    enum target_kind kind = TARGET_NAME;
    require(target_parse(word, length, user, &kind, error) == 0);
    require(kind == TARGET_ADDRESSES);
    return 0;
}

static void require_round_trip(const struct address_set *set)
{
    struct buffer text = {0};
    struct address_set again = {0};
    address_set_format(set, "\n", &text);
    require(!text.failed);
    require(target_split(text.data, text.length, read_back, &again, NULL) == 0);
    require(address_set_seal(&again) == 0);
    require(again.count == set->count && again.size == set->size);
    for (size_t i = 0; i < set->count; i++)
        require(address_equal(&again.ranges[i].first, &set->ranges[i].first) &&
                again.ranges[i].last == set->ranges[i].last);
    address_set_release(&again);
    buffer_release(&text);
}

static void require_index(const struct address_set *set)
{
    const uint64_t indexes[] = {0, set->size / 2, set->size - 1};
    for (size_t i = 0; i < sizeof(indexes) / sizeof(*indexes); i++) {
        const struct address address = address_set_at(set, indexes[i]);
        uint64_t index = UINT64_MAX;
        require(address_set_find(set, &address, &index) && index == indexes[i]);
    }
}

static void require_explained(const struct error *error, int code, size_t length)
{
    require(code == -EINVAL || code == -E2BIG);
    require(error->code == -code && error->message[0] != '\0');
    require(error->column <= length && error->column <= strlen(error->text));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct address_set set = {0};
    struct error error = {0};
    enum target_kind kind = TARGET_NAME;
    const int code = target_parse((const char *)bytes, length, &set, &kind, &error);
    if (code != 0) {
        require(set.count == 0);
        require_explained(&error, code, length);
    } else if (kind == TARGET_NAME) {
        require(set.count == 0 && length <= 254 && !memchr(bytes, '\0', length));
    } else {
        require(set.count > 0);
        const int sealed = address_set_seal(&set);
        require(sealed == 0 || sealed == -EOVERFLOW);
        if (sealed == 0)
            require_index(&set);
        if (sealed == 0 && set.count <= RANGES_READ_BACK)
            require_round_trip(&set);
    }
    address_set_release(&set);
    return 0;
}
