/* Choosing the technique of a scan. */
#include "cmd/scan_technique.h"

#include <errno.h>
#include <string.h>

#define PREFERRED "tcp-syn"
#define SOCKETS "tcp-connect" /* always there, and needs no rights */

/* Returns 0, or why not as a positive errno. */
static int check_rights(const struct prober_class *class)
{
    return class->permitted ? class->permitted() : 0;
}

static int refuse_rights(const struct prober_class *class, int code, const char *otherwise,
                         struct error *error)
{
    if (code == EPERM || code == EACCES)
        return error_set(error, code,
                         "%s needs the right to send raw packets (CAP_NET_RAW): sudo or 'setcap "
                         "cap_net_raw+ep' gives it%s",
                         class->name, otherwise);
    return error_set(error, code, "%s cannot be used here: %s%s", class->name, strerror(code),
                     otherwise);
}

/* ---- links ---- */

/* Sockets are a technique and a link at the same time. */
static bool is_socket(const char *link)
{
    return link && strcmp(link, SCAN_LINK_SOCKET) == 0;
}

bool scan_technique_fits(const struct prober_class *technique, const char *link)
{
    return !technique || !link || (technique == prober_find(SOCKETS)) == is_socket(link);
}

static int refuse_link(const struct prober_class *technique, const char *link, struct error *error)
{
    if (is_socket(link))
        return error_set(error, EINVAL,
                         "--link %s is the same as -sT, and %s sends packets of its own: leave one "
                         "of them out",
                         link, technique->name);
    return error_set(error, EINVAL,
                     "--link %s needs a technique that sends packets of its own, such as -sS: -sT "
                     "leaves that to the kernel",
                     link);
}

/* ---- choosing ---- */

static int choose_default(const struct command *command, const struct scan_command_options *options,
                          const struct prober_class **ret_class, struct error *error)
{
    const struct prober_class *class = prober_find(is_socket(options->link) ? SOCKETS : PREFERRED);
    int code = class ? check_rights(class) : 0;
    if (class && code == 0) {
        *ret_class = class;
        return 0;
    }
    /* None of these means anything to sockets. */
    if (class && (options->privileged || options->interface || options->link))
        return refuse_rights(class, code, "", error);
    if (class && (code == EPERM || code == EACCES))
        command_warn(command, "no right to send raw packets (CAP_NET_RAW): scanning through "
                              "sockets, as -sT does without this line; sudo or 'setcap "
                              "cap_net_raw+ep' gives the right");
    else if (class)
        command_warn(command,
                     "cannot send raw packets: %s: scanning through sockets, as -sT does "
                     "without this line",
                     strerror(code));
    *ret_class = prober_find(SOCKETS);
    return 0;
}

/* Whether two techniques ask the same question, so that one may go on where the other began. */
static bool are_alike(const struct prober_class *one, const struct prober_class *other)
{
    const struct prober_class *pair[] = {prober_find(PREFERRED), prober_find(SOCKETS)};
    return one == other ||
           ((one == pair[0] || one == pair[1]) && (other == pair[0] || other == pair[1]));
}

/* A scan that is resumed goes on with its technique, whatever the rights are now, unless one
 * that asks the same is asked for, or a link that takes one. */
static int choose_again(const struct scan_command_options *options,
                        const struct checkpoint_data *resumed,
                        const struct prober_class **ret_class, struct error *error)
{
    const char *name = resumed->technique ? resumed->technique : SOCKETS;
    const struct prober_class *earlier = prober_find(name), *asked = options->technique;
    if (!earlier)
        return error_set(error, EINVAL,
                         "'%s' was begun with '%.32s', which this version does not have",
                         options->resume, name);
    if (asked && !are_alike(asked, earlier))
        return error_set(error, EINVAL,
                         "'%s' was begun with %s, and %s asks something else: leave it out",
                         options->resume, earlier->name, asked->name);
    const struct prober_class *other = prober_find(is_socket(options->link) ? SOCKETS : PREFERRED);
    if (!asked && !scan_technique_fits(earlier, options->link) && are_alike(earlier, other))
        asked = other;
    *ret_class = asked ? asked : earlier;
    return 0;
}

int scan_technique_choose(const struct command *command, struct scan_command_options *options,
                          const struct checkpoint_data *resumed, struct error *error)
{
    const struct prober_class *class = options->technique;
    const struct prober_class *sockets = prober_find(SOCKETS);
    if (!class && !resumed) {
        int failed = choose_default(command, options, &class, error);
        if (failed)
            return failed;
    } else if (resumed) {
        int failed = choose_again(options, resumed, &class, error);
        if (failed)
            return failed;
    }
    if (!scan_technique_fits(class, options->link))
        return refuse_link(class, options->link, error);
    int code = check_rights(class);
    if (code)
        return refuse_rights(class, code,
                             !are_alike(class, sockets) ? ""
                             : resumed                  ? "; going on with -sT needs none"
                                                        : "; -sT needs none",
                             error);
    if (options->interface && class == sockets)
        return error_set(error, EINVAL,
                         "-e needs a technique that sends raw packets, such as -sS: sockets leave "
                         "by the kernel's routes");
    options->technique = class;
    return 0;
}
