/* Runs a fuzz target once on every file of the folders given: the corpus as a regression test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/atomic_file.h"
#include "core/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    size_t n_files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        struct dirent *entry;
        if (!folder) {
            fprintf(stderr, "%s: cannot be opened\n", argv[i]);
            return 1;
        }
        while ((entry = readdir(folder))) {
            char *path = mim_join_path(argv[i], entry->d_name), *bytes = NULL;
            size_t n_bytes = 0;
            struct stat status;
            if (path && stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
                if (mim_read_file(path, SIZE_MAX / 2, &bytes, &n_bytes) != MIM_OK) {
                    fprintf(stderr, "%s\n", mim_error());
                    return 1;
                }
                LLVMFuzzerTestOneInput((const uint8_t *)bytes, n_bytes);
                n_files++;
            }
            free(bytes);
            free(path);
        }
        closedir(folder);
    }
    printf("%zu inputs\n", n_files);
    return n_files ? 0 : 1;
}
