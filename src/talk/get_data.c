/* What a POST says, gathered from words like those of curl's -d. */
#include "base/file.h"
#include "talk/get.h"

#include <errno.h>
#include <string.h>

#define DATA_MAXIMUM ((size_t)1 << 30)

/* As browsers send a form's text areas: one line. */
static void drop_line_ends(struct buffer *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++) {
        char byte = text->data[i];
        if (byte != '\r' && byte != '\n' && byte != '\0')
            text->data[kept++] = byte;
    }
    text->length = kept;
    if (text->data)
        text->data[kept] = '\0';
}

/* All but RFC 3986's unreserved characters; a blank is "+", as in forms. */
static void add_encoded(struct buffer *data, const char *bytes, size_t length)
{
    static const char kept[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] && strchr(kept, bytes[i]))
            buffer_add_character(data, bytes[i]);
        else if (bytes[i] == ' ')
            buffer_add_character(data, '+');
        else
            buffer_add_format(data, "%%%02X", (unsigned)(unsigned char)bytes[i]);
    }
}

/* "NAME=TEXT" and "NAME@FILE": the name stands as it is. */
static int add_form(struct buffer *data, const char *word, struct error *error)
{
    size_t name = strcspn(word, "=@");
    if (!word[name]) {
        add_encoded(data, word, name);
        return 0;
    }
    const char *value = word + name + 1;
    if (name > 0) {
        buffer_add(data, word, name);
        buffer_add_character(data, '=');
    }
    if (word[name] == '=') {
        add_encoded(data, value, strlen(value));
        return 0;
    }
    struct buffer text = {0};
    int r = file_read(value, DATA_MAXIMUM, &text, error);
    if (r == 0)
        add_encoded(data, text.data, text.length);
    buffer_release(&text);
    return r;
}

static int add_file(struct buffer *data, enum get_data_kind kind, const char *path,
                    struct error *error)
{
    struct buffer text = {0};
    int r = file_read(path, DATA_MAXIMUM, &text, error);
    if (r == 0 && kind == GET_DATA_TEXT)
        drop_line_ends(&text);
    if (r == 0 && text.length)
        buffer_add(data, text.data, text.length);
    buffer_release(&text);
    return r;
}

int get_data_add(struct buffer *data, enum get_data_kind kind, const char *word,
                 struct error *error)
{
    int r = 0;
    buffer_reserve(data, 1); /* an empty POST is one, too */
    if (data->length && kind != GET_DATA_JSON)
        buffer_add_character(data, '&');
    if (kind == GET_DATA_ENCODED)
        r = add_form(data, word, error);
    else if (word[0] == '@' && kind != GET_DATA_RAW)
        r = add_file(data, kind, word + 1, error);
    else
        buffer_add_text(data, word);
    if (r == 0 && data->failed)
        r = error_set(error, ENOMEM, "out of memory");
    return r;
}
