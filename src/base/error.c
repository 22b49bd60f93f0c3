/* struct error: filling it in. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void set_message(struct error *error, int code,
                                                              const char *format, va_list arguments)
{
    error->code = code;
    error->column = ERROR_NO_COLUMN;
    error->text[0] = '\0';
    if (vsnprintf(error->message, sizeof(error->message), format, arguments) < 0)
        error->message[0] = '\0';
}

int error_set(struct error *error, int code, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        set_message(error, code, format, arguments);
        va_end(arguments);
    }
    return -code;
}

/* Copies `length` bytes around `column` into error->text and makes the column relative to them. */
static void set_text(struct error *error, const char *text, size_t length, size_t column)
{
    const size_t room = sizeof(error->text) - 1;
    size_t start = 0;
    if (column > length)
        column = length;
    if (length > room && column > room / 2)
        start = column - room / 2;
    if (start + room < length)
        length = start + room;
    size_t used = 0;
    for (size_t i = start; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        error->text[used++] = byte < 0x20 || byte >= 0x7f ? '?' : (char)byte;
    }
    error->text[used] = '\0';
    error->column = column - start;
}

int error_set_at(struct error *error, int code, const char *text, size_t length, size_t column,
                 const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        set_message(error, code, format, arguments);
        va_end(arguments);
        set_text(error, text, length, column);
    }
    return -code;
}
