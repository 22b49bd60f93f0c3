/* Which systemd unit and which container a process belongs to, by the names of its control groups.
 *
 * Unit is what the machine's own systemd (or a user's) can stop: the first component that names
 * one, below slices. Those of a systemd inside a container are not, nor are the scopes that
 * container engines make for each container. Container is the innermost. */
#include "local/owner.h"

#include <errno.h>
#include <string.h>

#define LONGEST_UNIT 255
#define LONGEST_NAME 128 /* of a container */
#define IDENTITY 64      /* hexadecimal digits of engines' containers */
#define IDENTITY_SHOWN 12

/* A piece of the text; NULL: there is none. */
struct piece {
    const char *text;
    size_t length;
};

struct finding {
    struct piece unit, container;
    bool user_unit;
    const char *runtime;
};

/* How far the components of a path have been understood. */
struct walk {
    struct finding finding;
    const char *hint;   /* the engine that a component above told of */
    struct piece above; /* the component before */
    bool in_manager;    /* of a user: below user@1000.service */
    bool ended;         /* what follows is no unit of this machine */
};

/* ---- pieces ---- */

static bool equals(struct piece piece, const char *text)
{
    return piece.length == strlen(text) && memcmp(piece.text, text, piece.length) == 0;
}

static bool contains(struct piece piece, const char *text)
{
    return memmem(piece.text, piece.length, text, strlen(text)) != NULL;
}

static bool skip_start(struct piece *piece, const char *start)
{
    const size_t length = strlen(start);
    if (piece->length < length || memcmp(piece->text, start, length) != 0)
        return false;
    piece->text += length;
    piece->length -= length;
    return true;
}

static bool skip_end(struct piece *piece, const char *end)
{
    const size_t length = strlen(end);
    if (piece->length < length || memcmp(piece->text + piece->length - length, end, length) != 0)
        return false;
    piece->length -= length;
    return true;
}

/* Without the part before the last of `separator`. */
static struct piece after_last(struct piece piece, char separator)
{
    const char *at = memrchr(piece.text, separator, piece.length);
    if (!at)
        return piece;
    return (struct piece){at + 1, piece.length - (size_t)(at + 1 - piece.text)};
}

static bool consists_of(struct piece piece, const char *others)
{
    for (size_t i = 0; i < piece.length; i++) {
        const char c = piece.text[i];
        const bool word =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return piece.length > 0;
}

static size_t count_hexadecimal(struct piece piece)
{
    size_t count = 0;
    while (count < piece.length && piece.text[count] &&
           strchr("0123456789abcdef", piece.text[count]))
        count++;
    return count;
}

static bool is_identity(struct piece piece)
{
    return piece.length == IDENTITY && count_hexadecimal(piece) == IDENTITY;
}

/* ---- containers ---- */

/* What engines write before the identity. The programs that watch over a container (conmon) count
 * as part of it: its published ports are theirs. */
static const struct {
    const char *start, *runtime;
} engines[] = {
    {"docker-", "docker"},
    {"libpod-conmon-", "podman"},
    {"libpod-payload-", "podman"},
    {"libpod-", "podman"},
    {"crio-conmon-", "cri-o"},
    {"crio-", "cri-o"},
    {"cri-containerd-", "containerd"},
    {"nerdctl-", "containerd"},
};

/* "docker-IDENTITY.scope" and the like. With systemd's names but without systemd there are also
 * "kubepods-besteffort-podUID.slice:cri-containerd:IDENTITY". */
static bool read_engine(struct walk *walk, struct piece piece)
{
    const char *runtime = NULL;
    skip_end(&piece, ".scope");
    if (contains(piece, "kubepods"))
        walk->hint = "kubernetes";
    piece = after_last(piece, ':');
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]) && !runtime; i++)
        if (skip_start(&piece, engines[i].start))
            runtime = engines[i].runtime;
    if (!is_identity(piece))
        return false;
    if (!runtime || (walk->hint && strcmp(walk->hint, "kubernetes") == 0))
        runtime = walk->hint ? walk->hint : "container";
    walk->finding.runtime = runtime;
    walk->finding.container = piece;
    walk->hint = NULL;
    return true;
}

/* Amazon's tasks without a machine: 32 hexadecimal digits, "-", and a number. */
static bool read_task(struct walk *walk, struct piece piece)
{
    if (!walk->hint || strcmp(walk->hint, "ecs") != 0)
        return false;
    const size_t count = count_hexadecimal(piece);
    const struct piece number = {piece.text + count + 1, piece.length - count - 1};
    if (count != 32 || piece.length < 34 || piece.text[count] != '-' ||
        count_hexadecimal(number) != number.length)
        return false;
    walk->finding.runtime = "ecs";
    walk->finding.container = piece;
    return true;
}

static bool is_lxc(struct piece piece)
{
    return equals(piece, "lxc") || equals(piece, "lxc.payload") || equals(piece, "lxc.monitor");
}

/* systemd writes the "-" of a name as "\x2d"; names have nothing else that it would escape. */
static bool is_machine_name(struct piece piece)
{
    if (piece.length > LONGEST_NAME || !consists_of(piece, "._-\\"))
        return false;
    for (size_t i = 0; i < piece.length; i++)
        if (piece.text[i] == '\\' &&
            (piece.length - i < 4 || memcmp(piece.text + i, "\\x2d", 4) != 0))
            return false;
    return true;
}

/* Machines by name: LXC's groups, and those that systemd-machined keeps. */
static bool read_machine(struct walk *walk, struct piece piece)
{
    const char *runtime = "lxc";
    if (skip_start(&piece, "lxc.payload.") || skip_start(&piece, "lxc.monitor.") ||
        (walk->above.text && is_lxc(walk->above))) {
        walk->ended = true;
    } else if (skip_start(&piece, "systemd-nspawn@") && skip_end(&piece, ".service")) {
        runtime = "systemd-nspawn";
    } else if (skip_start(&piece, "machine-lxc\\x2d") && skip_end(&piece, ".scope")) {
        /* libvirt's: "machine-lxc\x2d" PID "\x2d" NAME */
        const char *name = memmem(piece.text, piece.length, "\\x2d", 4);
        if (!name)
            return false;
        piece = (struct piece){name + 4, piece.length - (size_t)(name + 4 - piece.text)};
    } else if (skip_start(&piece, "machine-") && skip_end(&piece, ".scope") &&
               !skip_start(&piece, "qemu\\x2d")) {
        runtime = "systemd-nspawn";
    } else {
        return false;
    }
    if (!is_machine_name(piece))
        return false;
    walk->finding.runtime = runtime;
    walk->finding.container = piece;
    walk->hint = NULL;
    return true;
}

static void take_hint(struct walk *walk, struct piece piece)
{
    if (contains(piece, "kubepods"))
        walk->hint = "kubernetes";
    else if (equals(piece, "docker") || equals(piece, "actions_job"))
        walk->hint = "docker";
    else if (equals(piece, "libpod_parent"))
        walk->hint = "podman";
    else if (equals(piece, "ecs"))
        walk->hint = "ecs";
    else if (!walk->above.text && (equals(piece, "default") || equals(piece, "k8s.io")))
        walk->hint = "containerd"; /* its namespaces */
}

/* ---- units ---- */

static bool is_unit(struct piece piece)
{
    static const char *const kinds[] = {".service", ".scope", ".socket", ".mount", ".swap"};
    struct piece name = piece;
    bool known = false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !known; i++)
        known = skip_end(&name, kinds[i]);
    return known && piece.length <= LONGEST_UNIT && consists_of(name, ":_.\\@-");
}

static void read_unit(struct walk *walk, struct piece piece, bool container)
{
    struct piece slice = piece;
    if (walk->ended || skip_end(&slice, ".slice"))
        return;
    if (piece.text[0] == '_') /* systemd's mark for names that would be the kernel's own */
        piece = (struct piece){piece.text + 1, piece.length - 1};
    struct piece user = piece;
    const bool manager = skip_start(&user, "user@") && skip_end(&user, ".service");
    /* What the walk has come to is a unit, a container's scope, or another's business. */
    walk->ended = !manager || walk->in_manager;
    if (!is_unit(piece) || (walk->in_manager && equals(piece, "init.scope")))
        return;
    struct piece scope = piece;
    if (container && skip_end(&scope, ".scope")) {
        walk->finding.unit = (struct piece){0};
        walk->finding.user_unit = false;
        return;
    }
    walk->finding.unit = piece;
    walk->finding.user_unit = walk->in_manager;
    walk->in_manager = manager;
}

/* ---- the text ---- */

static void read_component(struct walk *walk, struct piece piece)
{
    if (piece.length == 0 || equals(piece, ".."))
        return; /* seen from another control group namespace */
    const bool container =
        read_engine(walk, piece) || read_task(walk, piece) || read_machine(walk, piece);
    read_unit(walk, piece, container);
    if (!container)
        take_hint(walk, piece);
    walk->above = piece;
}

static struct finding read_path(struct piece path)
{
    struct walk walk = {0};
    while (path.length > 0) {
        const char *slash = memchr(path.text, '/', path.length);
        const size_t length = slash ? (size_t)(slash - path.text) : path.length;
        const size_t skipped = slash ? length + 1 : length;
        read_component(&walk, (struct piece){path.text, length});
        path.text += skipped;
        path.length -= skipped;
    }
    return walk.finding;
}

/* A line is "number:controllers:path". systemd's names are in the unified hierarchy, number 0, or
 * in its own, "name=systemd"; of the others only containers are of interest. */
static void read_line(struct piece line, struct finding *finding)
{
    const char *first = memchr(line.text, ':', line.length);
    const size_t rest = first ? line.length - (size_t)(first + 1 - line.text) : 0;
    const char *second = first ? memchr(first + 1, ':', rest) : NULL;
    if (!second)
        return;
    const struct piece number = {line.text, (size_t)(first - line.text)};
    const struct piece controllers = {first + 1, (size_t)(second - first - 1)};
    const struct piece path = {second + 1, line.length - (size_t)(second + 1 - line.text)};
    const bool unified = equals(number, "0") && controllers.length == 0;
    const bool of_systemd = unified || equals(controllers, "name=systemd");
    const struct finding found = read_path(path);
    if (!finding->container.text || (of_systemd && found.container.text)) {
        finding->container = found.container;
        finding->runtime = found.runtime;
    }
    if (of_systemd && found.unit.text) {
        finding->unit = found.unit;
        finding->user_unit = found.user_unit;
    }
}

/* `escapes`: "\x2d" becomes "-". */
static int keep(struct piece piece, bool escapes, struct arena *arena, const char **ret_text)
{
    if (!piece.text)
        return 0;
    char *text = arena_take(arena, piece.length + 1);
    if (!text)
        return -ENOMEM;
    size_t length = 0;
    for (size_t i = 0; i < piece.length; i++) {
        const bool escaped =
            escapes && piece.length - i >= 4 && memcmp(piece.text + i, "\\x2d", 4) == 0;
        text[length++] = escaped ? '-' : piece.text[i];
        i += escaped ? 3 : 0;
    }
    *ret_text = text;
    return 0;
}

int cgroup_read(const char *text, size_t length, struct arena *arena, struct process *process)
{
    struct finding finding = {0};
    const char *unit = NULL, *container = NULL;
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        const size_t line = end ? (size_t)(end - text) : length;
        read_line((struct piece){text, line}, &finding);
        text += end ? line + 1 : line;
        length -= end ? line + 1 : line;
    }
    if (keep(finding.unit, false, arena, &unit) != 0 ||
        keep(finding.container, true, arena, &container) != 0)
        return -ENOMEM;
    process->unit = unit;
    process->user_unit = finding.user_unit;
    process->container_runtime = finding.runtime;
    process->container = container;
    return 0;
}

size_t container_shown_length(const char *identity)
{
    const struct piece piece = {identity, strlen(identity)};
    return is_identity(piece) ? IDENTITY_SHOWN : piece.length;
}
