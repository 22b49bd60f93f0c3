/* What control groups' names say of units and containers, as engines and systemd write them. */
#include "local/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"
#define OTHER_ID "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
#define POD "91a8fc3a-0ecf-48b4-81bf-78a7275d348c"
#define POD_SLICE "91a8fc3a_0ecf_48b4_81bf_78a7275d348c"
#define MANAGER "0::/user.slice/user-1000.slice/user@1000.service"

struct sample {
    const char *text, *unit, *runtime, *container;
    bool user_unit;
};

static void assert_text(const char *text, const char *expected, const char *sample)
{
    if ((text == NULL) != (expected == NULL) || (text && strcmp(text, expected) != 0))
        fail_msg("%s: \"%s\" instead of \"%s\"", sample, text ? text : "",
                 expected ? expected : "");
}

static void check(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct process process = {.pid = 7};
        struct arena arena = {0};
        const size_t length = strlen(samples[i].text);
        char *copy = malloc(length); /* without a NUL */
        assert_non_null(copy);
        memcpy(copy, samples[i].text, length);
        assert_int_equal(cgroup_read(copy, length, &arena, &process), 0);
        free(copy);
        assert_text(process.unit, samples[i].unit, samples[i].text);
        assert_text(process.container_runtime, samples[i].runtime, samples[i].text);
        assert_text(process.container, samples[i].container, samples[i].text);
        assert_int_equal(process.user_unit, samples[i].user_unit);
        assert_int_equal(process.pid, 7);
        arena_release(&arena);
    }
}

#define CHECK(samples)                                                                             \
    (void)state;                                                                                   \
    check(samples, sizeof(samples) / sizeof(samples[0]))

static void units_are_found(void **state)
{
    static const struct sample samples[] = {
        {"0::/system.slice/nginx.service\n", "nginx.service", NULL, NULL, false},
        {"0::/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", NULL, NULL,
         false},
        {"0::/system.slice/foo.service/workers/1\n", "foo.service", NULL, NULL, false},
        {"0::/system.slice/dev-hugepages.mount\n", "dev-hugepages.mount", NULL, NULL, false},
        {"0::/system.slice/sshd.socket\n", "sshd.socket", NULL, NULL, false},
        {"0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n",
         "postgresql@15-main.service", NULL, NULL, false},
        {"0::/system.slice/a\\x2db.service\n", "a\\x2db.service", NULL, NULL, false},
        {"0::/system.slice/_cpu.service\n", "cpu.service", NULL, NULL, false},
        {"0::/init.scope\n", "init.scope", NULL, NULL, false},
        {"0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", NULL, NULL, false},
        {"0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator\n",
         "machine-qemu\\x2d1\\x2dweb.scope", NULL, NULL, false},
        {"0::/../../system.slice/cron.service\n", "cron.service", NULL, NULL, false},
    };
    CHECK(samples);
}

static void users_units_are_told_apart(void **state)
{
    static const struct sample samples[] = {
        {MANAGER "/app.slice/syncthing.service\n", "syncthing.service", NULL, NULL, true},
        {MANAGER "/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope\n", "vte-spawn-1.scope",
         NULL, NULL, true},
        {MANAGER "/init.scope\n", "user@1000.service", NULL, NULL, false},
        {MANAGER "\n", "user@1000.service", NULL, NULL, false},
        {MANAGER "/user.slice/user-libpod_pod_1.slice/libpod-" ID ".scope/container\n", NULL,
         "podman", ID, false},
        {MANAGER "/app.slice/docker.service/user@7.service\n", "docker.service", NULL, NULL, true},
    };
    CHECK(samples);
}

static void nobody_has_no_unit(void **state)
{
    static const struct sample samples[] = {
        {"0::/\n", NULL, NULL, NULL, false},
        {"", NULL, NULL, NULL, false},
        {"\n\n::\n0\n0:\n0::\n", NULL, NULL, NULL, false},
        {"0::/system.slice\n", NULL, NULL, NULL, false},
        {"0::/my/group/nginx.service\n", NULL, NULL, NULL, false},
        {"0::/system.slice/.service\n", NULL, NULL, NULL, false},
        {"0::/system.slice/evil;reboot.service\n", NULL, NULL, NULL, false},
        {"0::/system.slice/e\x1b[1m.service\n", NULL, NULL, NULL, false},
        {"5:memory:/system.slice/nginx.service\n", NULL, NULL, NULL, false},
        {"x0::/system.slice/nginx.service\n", NULL, NULL, NULL, false},
    };
    CHECK(samples);
}

static void the_first_version_is_read(void **state)
{
    static const struct sample samples[] = {
        {"12:pids:/system.slice/nginx.service\n11:cpu,cpuacct:/system.slice\n"
         "1:name=systemd:/system.slice/nginx.service\n0::/system.slice/nginx.service\n",
         "nginx.service", NULL, NULL, false},
        {"9:name=systemd:/system.slice/cron.service\n8:pids:/\n0::/\n", "cron.service", NULL, NULL,
         false},
        {"10:devices:/docker/" ID "\n1:name=systemd:/docker/" ID "\n", NULL, "docker", ID, false},
        {"4:memory:/docker/" ID "\n1:name=systemd:/system.slice/containerd.service\n",
         "containerd.service", "docker", ID, false},
        {"10:net_prio:/" ID "\n9:blkio:/" ID "\n", NULL, "container", ID, false},
        {"11:cpu:/kubepods/besteffort/pod" POD "/" ID
         "\n1:name=systemd:/kubepods/besteffort/pod" POD "/" ID "\n",
         NULL, "kubernetes", ID, false},
        {"1:name=systemd:/system.slice/containerd.service/kubepods-burstable-pod" POD_SLICE
         ".slice:cri-containerd:" ID "\n",
         "containerd.service", "kubernetes", ID, false},
        {"9:perf_event:/lxc/web\n1:name=systemd:/lxc/web/system.slice/nginx.service\n", NULL, "lxc",
         "web", false},
        {"3:cpu:/ecs/task/" ID "\n", NULL, "ecs", ID, false},
        {"3:cpu:/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-123456\n",
         NULL, "ecs", "0123456789abcdef0123456789abcdef-123456", false},
    };
    CHECK(samples);
}

static void containers_are_found(void **state)
{
    static const struct sample samples[] = {
        {"0::/system.slice/docker-" ID ".scope\n", NULL, "docker", ID, false},
        {"0::/system.slice/docker-" ID ".scope/init.scope\n", NULL, "docker", ID, false},
        {"0::/docker/" ID "\n", NULL, "docker", ID, false},
        {"0::/docker/buildkit/" ID "\n", NULL, "docker", ID, false},
        {"0::/../" ID "\n", NULL, "container", ID, false},
        {"0::/machine.slice/libpod-" ID ".scope/container\n", NULL, "podman", ID, false},
        {"0::/machine.slice/libpod-" ID ".scope/system.slice/httpd.service\n", NULL, "podman", ID,
         false},
        {"0::/machine.slice/libpod-conmon-" ID ".scope\n", NULL, "podman", ID, false},
        {"0::/libpod_parent/libpod-" ID "\n", NULL, "podman", ID, false},
        {"0::/libpod_parent/" ID "\n", NULL, "podman", ID, false},
        {"0::/system.slice/web.service/libpod-payload-" ID "\n", "web.service", "podman", ID,
         false},
        {MANAGER "/app.slice/web.service/libpod-payload-" ID "\n", "web.service", "podman", ID,
         true},
        {"0::/system.slice/nerdctl-" ID ".scope\n", NULL, "containerd", ID, false},
        {"0::/default/" ID "\n", NULL, "containerd", ID, false},
        {"0::/system.slice/crio-" ID ".scope\n", NULL, "cri-o", ID, false},
    };
    CHECK(samples);
}

static void pods_are_kubernetes(void **state)
{
    static const struct sample samples[] = {
        {"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_SLICE
         ".slice/cri-containerd-" ID ".scope\n",
         NULL, "kubernetes", ID, false},
        {"0::/kubepods.slice/kubepods-pod" POD_SLICE ".slice/crio-" ID ".scope\n", NULL,
         "kubernetes", ID, false},
        {"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" POD_SLICE
         ".slice/docker-" ID ".scope\n",
         NULL, "kubernetes", ID, false},
        {"0::/kubepods/besteffort/pod" POD "/crio-" ID "\n", NULL, "kubernetes", ID, false},
        {"0::/kubepods/burstable/pod" POD "/" ID "\n", NULL, "kubernetes", ID, false},
    };
    CHECK(samples);
}

static void the_innermost_container_counts(void **state)
{
    static const struct sample samples[] = {
        {"0::/system.slice/docker-" OTHER_ID ".scope/kubelet.slice/kubelet-kubepods.slice/"
         "kubelet-kubepods-pod" POD_SLICE ".slice/cri-containerd-" ID ".scope\n",
         NULL, "kubernetes", ID, false},
        {"0::/kubepods/burstable/pod" POD "/" OTHER_ID "/docker/" ID "\n", NULL, "docker", ID,
         false},
        {"0::/lxc.payload.host/system.slice/docker-" ID ".scope\n", NULL, "docker", ID, false},
        {"0::/docker/" ID "/not/" ID "x\n", NULL, "docker", ID, false},
    };
    CHECK(samples);
}

static void machines_have_names(void **state)
{
    static const struct sample samples[] = {
        {"0::/lxc.payload.web-1/system.slice/nginx.service\n", NULL, "lxc", "web-1", false},
        {"0::/lxc.monitor.web-1\n", NULL, "lxc", "web-1", false},
        {"0::/lxc.payload/web\n", NULL, "lxc", "web", false},
        {"0::/lxc/101/ns/system.slice/ssh.service\n", NULL, "lxc", "101", false},
        {"0::/machine.slice/machine-lxc\\x2d4711\\x2dweb.scope\n", NULL, "lxc", "web", false},
        {"0::/machine.slice/systemd-nspawn@my\\x2dbox.service/payload/system.slice/a.service\n",
         "systemd-nspawn@my\\x2dbox.service", "systemd-nspawn", "my-box", false},
        {"0::/machine.slice/machine-my\\x2dbox.scope/payload\n", NULL, "systemd-nspawn", "my-box",
         false},
    };
    CHECK(samples);
}

static void names_of_no_container_are_not_taken(void **state)
{
    static const struct sample samples[] = {
        {"0::/lxc.payload.a b\n", NULL, NULL, NULL, false},
        {"0::/lxc.payload.\n", NULL, NULL, NULL, false},
        {"0::/lxc.payload.$(reboot)\n", NULL, NULL, NULL, false},
        {"0::/machine.slice/systemd-nspawn@a\\x3bb.service\n", "systemd-nspawn@a\\x3bb.service",
         NULL, NULL, false},
        {"0::/docker/0123456789abcdef\n", NULL, NULL, NULL, false},
        {"0::/docker/9EC39B91F3D70E1BEFF50A308F77067065EA6BE0D91A3378375056CD4422CF3D\n", NULL,
         NULL, NULL, false},
        {"0::/system.slice/docker.service\n", "docker.service", NULL, NULL, false},
        {"0::/system.slice/docker-web.scope\n", "docker-web.scope", NULL, NULL, false},
        {"0::/ecs/task/-\n0::/ecs/0123456789abcdef0123456789abcdef-\n", NULL, NULL, NULL, false},
    };
    CHECK(samples);
}

static void nul_is_a_byte(void **state)
{
    static const char text[] = "0::/system.slice/a\0b.service\n0::/lxc.payload.a\0b\n";
    struct process process = {0};
    struct arena arena = {0};
    (void)state;
    assert_int_equal(cgroup_read(text, sizeof(text) - 1, &arena, &process), 0);
    assert_null(process.unit);
    assert_null(process.container);
    arena_release(&arena);
}

static void only_identities_are_shortened(void **state)
{
    (void)state;
    assert_int_equal(container_shown_length(ID), 12);
    assert_int_equal(container_shown_length(ID "-1"), strlen(ID) + 2);
    assert_int_equal(container_shown_length("decade0000000000"), 16);
    assert_int_equal(container_shown_length(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_are_found),
        cmocka_unit_test(users_units_are_told_apart),
        cmocka_unit_test(nobody_has_no_unit),
        cmocka_unit_test(the_first_version_is_read),
        cmocka_unit_test(containers_are_found),
        cmocka_unit_test(pods_are_kubernetes),
        cmocka_unit_test(the_innermost_container_counts),
        cmocka_unit_test(machines_have_names),
        cmocka_unit_test(names_of_no_container_are_not_taken),
        cmocka_unit_test(nul_is_a_byte),
        cmocka_unit_test(only_identities_are_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
