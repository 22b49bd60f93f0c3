/* Tables of telnet's options and commands, and finding a row by the beginning of its name. */
#include "talk/telnet_options.h"

#include <libtelnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct option_row {
    const char *name;
    unsigned char option;
};

static const struct option_row options[] = {
    {"BINARY", TELNET_TELOPT_BINARY},
    {"ECHO", TELNET_TELOPT_ECHO},
    {"RCP", TELNET_TELOPT_RCP},
    {"SGA", TELNET_TELOPT_SGA},
    {"NAMS", TELNET_TELOPT_NAMS},
    {"STATUS", TELNET_TELOPT_STATUS},
    {"TIMING-MARK", TELNET_TELOPT_TM},
    {"RCTE", TELNET_TELOPT_RCTE},
    {"NAOL", TELNET_TELOPT_NAOL},
    {"NAOP", TELNET_TELOPT_NAOP},
    {"NAOCRD", TELNET_TELOPT_NAOCRD},
    {"NAOHTS", TELNET_TELOPT_NAOHTS},
    {"NAOHTD", TELNET_TELOPT_NAOHTD},
    {"NAOFFD", TELNET_TELOPT_NAOFFD},
    {"NAOVTS", TELNET_TELOPT_NAOVTS},
    {"NAOVTD", TELNET_TELOPT_NAOVTD},
    {"NAOLFD", TELNET_TELOPT_NAOLFD},
    {"EXTEND-ASCII", TELNET_TELOPT_XASCII},
    {"LOGOUT", TELNET_TELOPT_LOGOUT},
    {"BM", TELNET_TELOPT_BM},
    {"DET", TELNET_TELOPT_DET},
    {"SUPDUP", TELNET_TELOPT_SUPDUP},
    {"SUPDUP-OUTPUT", TELNET_TELOPT_SUPDUPOUTPUT},
    {"SEND-LOCATION", TELNET_TELOPT_SNDLOC},
    {"TERMINAL-TYPE", TELNET_TELOPT_TTYPE},
    {"END-OF-RECORD", TELNET_TELOPT_EOR},
    {"TUID", TELNET_TELOPT_TUID},
    {"OUTMRK", TELNET_TELOPT_OUTMRK},
    {"TTYLOC", TELNET_TELOPT_TTYLOC},
    {"3270-REGIME", TELNET_TELOPT_3270REGIME},
    {"X.3-PAD", TELNET_TELOPT_X3PAD},
    {"NAWS", TELNET_TELOPT_NAWS},
    {"TERMINAL-SPEED", TELNET_TELOPT_TSPEED},
    {"FLOW-CONTROL", TELNET_TELOPT_LFLOW},
    {"LINEMODE", TELNET_TELOPT_LINEMODE},
    {"X-DISPLAY-LOCATION", TELNET_TELOPT_XDISPLOC},
    {"ENVIRON", TELNET_TELOPT_ENVIRON},
    {"AUTHENTICATION", TELNET_TELOPT_AUTHENTICATION},
    {"ENCRYPT", TELNET_TELOPT_ENCRYPT},
    {"NEW-ENVIRON", TELNET_TELOPT_NEW_ENVIRON},
    {"MSSP", TELNET_TELOPT_MSSP},
    {"COMPRESS2", TELNET_TELOPT_COMPRESS2},
    {"ZMP", TELNET_TELOPT_ZMP},
    {"EXTENDED-OPTIONS-LIST", TELNET_TELOPT_EXOPL},
    {NULL, 0},
};

const struct telnet_command telnet_commands[] = {
    {"ao", TELNET_AO, false, "abort output"},
    {"ayt", TELNET_AYT, false, "are you there?"},
    {"brk", TELNET_BREAK, false, "break"},
    {"ec", TELNET_EC, false, "erase the last character"},
    {"el", TELNET_EL, false, "erase the line"},
    {"ga", TELNET_GA, false, "go ahead"},
    {"ip", TELNET_IP, false, "interrupt the process"},
    {"nop", TELNET_NOP, false, "no operation"},
    {"eor", TELNET_EOR, false, "end of a record"},
    {"abort", TELNET_ABORT, false, "abort the process"},
    {"susp", TELNET_SUSP, false, "suspend the process"},
    {"eof", TELNET_EOF, false, "end of the file"},
    {"synch", TELNET_DM, false, "data mark"},
    {"do", TELNET_DO, true, "ask the other side to begin with an option"},
    {"dont", TELNET_DONT, true, "ask it to end one"},
    {"will", TELNET_WILL, true, "offer to begin with an option"},
    {"wont", TELNET_WONT, true, "end one"},
    {NULL, 0, false, NULL},
};

const char *telnet_option_name(unsigned option)
{
    for (const struct option_row *row = options; row->name; row++) {
        if (row->option == option)
            return row->name;
    }
    return NULL;
}

const char *telnet_option_format(unsigned option, char text[static TELNET_OPTION_SIZE])
{
    const char *name = telnet_option_name(option);
    if (name)
        snprintf(text, TELNET_OPTION_SIZE, "%s", name);
    else
        snprintf(text, TELNET_OPTION_SIZE, "#%u", option);
    return text;
}

int telnet_word_find(const char *word, size_t length, const void *rows, size_t row_size)
{
    int found = TELNET_WORD_UNKNOWN;
    for (int i = 0;; i++) {
        const char *name;
        memcpy(&name, (const char *)rows + (size_t)i * row_size, sizeof(name));
        if (!name)
            return found;
        if (!length || strncasecmp(name, word, length) != 0)
            continue;
        if (!name[length])
            return i;
        found = found == TELNET_WORD_UNKNOWN ? i : TELNET_WORD_AMBIGUOUS;
    }
}

int telnet_option_find(const char *word, size_t length)
{
    size_t digits = 0;
    int number = 0;
    while (digits < length && digits < 3 && word[digits] >= '0' && word[digits] <= '9')
        number = 10 * number + (word[digits++] - '0');
    if (digits && digits == length)
        return number <= 255 ? number : TELNET_WORD_UNKNOWN;
    int found = telnet_word_find(word, length, options, sizeof(options[0]));
    return found < 0 ? found : options[found].option;
}
