/* Runs a fuzz target once over each file of the folders named on the command line, without a
 * fuzzer: how `make check` replays the corpora. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    /* Exactly as long as the file, so that reading past it is found. */
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(length > 0 ? (size_t)length : 1);
    int failed = !bytes || fread(bytes, 1, (size_t)length, file) != (size_t)length;
    if (!failed)
        LLVMFuzzerTestOneInput(bytes, (size_t)length);
    free(bytes);
    fclose(file);
    return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        const struct dirent *entry;
        while (folder && (entry = readdir(folder))) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            if (replay_file(path)) {
                fprintf(stderr, "cannot read %s\n", path);
                return 1;
            }
            count++;
        }
        if (folder)
            closedir(folder);
    }
    printf("%d inputs\n", count);
    return count ? 0 : 1;
}
