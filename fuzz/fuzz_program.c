/* Fuzzing of a program's words: they are made of the text's own characters, in their order, and
 * quoting them again gives the same words. */
#include "talk/program.h"

#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void add_quoted(struct buffer *text, const char *word)
{
    buffer_add_text(text, " \"");
    for (; *word; word++) {
        if (*word == '"' || *word == '\\')
            buffer_add_character(text, '\\');
        buffer_add_character(text, *word);
    }
    buffer_add_text(text, "\"");
}

static void require_round_trip(char *const *words)
{
    struct buffer text = {0};
    char **again = NULL;
    size_t i = 0;
    for (; words[i]; i++)
        add_quoted(&text, words[i]);
    require(i > 0 && !text.failed);
    require(program_split(text.data, &again, NULL) == 0);
    for (i = 0; words[i] && again[i]; i++)
        require(strcmp(words[i], again[i]) == 0);
    require(!words[i] && !again[i]);
    free(again);
    buffer_release(&text);
}

static void require_own_characters(char *const *words, const char *text)
{
    for (size_t i = 0; words[i]; i++) {
        for (const char *at = words[i]; *at; at++) {
            text = strchr(text, *at);
            require(text);
            text++;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct error error = {0};
    char **words = NULL, *text = malloc(length + 1);
    require(text);
    memcpy(text, bytes, length);
    text[length] = '\0';
    int code = program_split(text, &words, &error);
    if (code == 0) {
        require_own_characters(words, text);
        require_round_trip(words);
        free(words);
    } else {
        require(code == -EINVAL && !words && error.code == EINVAL);
        require(error.column <= strlen(error.text));
    }
    free(text);
    return 0;
}
