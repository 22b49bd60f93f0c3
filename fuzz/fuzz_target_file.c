/* Fuzzing of target_split() with target_parse() on its words: a target file, and an exclusion file.
 */
#include "net/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* A file that is being read, and where its last word ended. */
struct reading {
    const char *text;
    size_t length;
    size_t end;
    unsigned line;
    struct address_set set;
};

static int take_word(void *user, const char *word, size_t length, unsigned line,
                     struct error *error)
{
    struct reading *reading = user;
    require(length >= 1 && length <= 255);
    require(word >= reading->text + reading->end);
    require(word + length <= reading->text + reading->length);
    require(line >= 1 && line >= reading->line);
    for (size_t i = 0; i < length; i++)
        require((unsigned char)word[i] > ' ' && word[i] != 0x7f && word[i] != '#');
    for (size_t at = reading->end; word > reading->text + at; at++)
        reading->line += reading->text[at] == '\n';
    require(line == reading->line);
    reading->end = (size_t)(word - reading->text) + length;

    enum target_kind kind;
    struct error fault = {0};
    const int code = target_parse(word, length, &reading->set, &kind, &fault);
    require(code == 0 || (fault.code == -code && fault.column <= length));
    /* The sets of a few words are enough, and a word can be worth three megabytes. */
    if (reading->set.count > 100000)
        return error_set(error, E2BIG, "enough");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct reading reading = {.text = (const char *)bytes, .length = length, .line = 1};
    struct error error = {0};
    const int code = target_split((const char *)bytes, length, take_word, &reading, &error);
    require(code == 0 || (error.code == -code && error.message[0] != '\0'));
    require(code == 0 || code == -EINVAL || code == -E2BIG);

    /* What is excluded is gone: here every other range of the set itself. */
    struct address_set half = {0};
    for (size_t i = 0; i < reading.set.count; i += 2) {
        const struct address_range *range = &reading.set.ranges[i];
        require(address_set_add(&half, &range->first, range->last) == 0);
    }
    require(address_set_subtract(&reading.set, &half) == 0);
    if (address_set_seal(&reading.set) == 0 && half.sealed) {
        for (size_t i = 0; i < half.count; i++) {
            uint64_t index;
            require(!address_set_find(&reading.set, &half.ranges[i].first, &index));
        }
    }
    address_set_release(&half);
    address_set_release(&reading.set);
    return 0;
}
