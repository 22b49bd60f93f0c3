/* Fuzzing of a chat's lines: however the bytes arrive, the same is said; every line bears its
 * speaker's name, and nothing in it can move a terminal's cursor. The first two bytes of the input
 * say how it is divided. */
#include "talk/hub_chat.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void hear(const char *bytes, size_t length, size_t step, struct buffer *said)
{
    struct buffer rest = {0};
    for (size_t at = 0; at < length; at += step) {
        hub_chat_add(&rest, 7, bytes + at, length - at < step ? length - at : step, said);
        require(rest.length <= HUB_LINE_SIZE);
    }
    hub_chat_end(&rest, 7, said);
    require(!rest.data && !rest.failed && !said->failed);
}

static void require_harmless(const struct buffer *said)
{
    static const char name[] = "<user7> ";
    for (size_t at = 0; at < said->length;) {
        const char *line = said->data + at, *end = memchr(line, '\n', said->length - at);
        require(end && (size_t)(end - line) >= strlen(name));
        require(memcmp(line, name, strlen(name)) == 0);
        for (const char *byte = line; byte < end; byte++)
            require((unsigned char)*byte >= ' ' || *byte == '\t');
        at += (size_t)(end - line) + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct buffer one = {0}, other = {0};
    if (length < 2)
        return 0;
    hear((const char *)bytes + 2, length - 2, length, &one);
    hear((const char *)bytes + 2, length - 2, (size_t)bytes[0] + 256u * bytes[1] + 1, &other);
    require(one.length == other.length);
    require(!one.length || memcmp(one.data, other.data, one.length) == 0);
    require_harmless(&one);
    buffer_release(&one);
    buffer_release(&other);
    return 0;
}
