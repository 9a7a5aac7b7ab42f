#include "tests/support/flipped.h"

#include <fcntl.h>
#include <hdf5.h>
#include <unistd.h>

/* Whether it is a dataset in one piece. */
static int describe(hid_t file, flipped_place *found)
{
    hid_t dataset = H5Dopen2(file, found->name, H5P_DEFAULT);
    const haddr_t place = dataset < 0 ? HADDR_UNDEF : H5Dget_offset(dataset);
    found->place = place;
    found->n_bytes = dataset < 0 ? 0 : (size_t)H5Dget_storage_size(dataset);
    if (dataset >= 0)
        H5Dclose(dataset);
    return place != HADDR_UNDEF && found->n_bytes > 0;
}

size_t flipped_places(const char *path, flipped_place places[FLIPPED_MAX])
{
    size_t n = 0;
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    for (hsize_t i = 0; file >= 0 && n < FLIPPED_MAX; i++) {
        if (H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, places[n].name,
                               sizeof places[n].name, H5P_DEFAULT) <= 0)
            break;
        n += (size_t)describe(file, &places[n]);
    }
    if (file >= 0)
        H5Fclose(file);
    return n;
}

int flip_byte(const char *path, uint64_t place)
{
    unsigned char byte;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int failed = pread(fd, &byte, 1, (off_t)place) != 1;
    byte ^= 1;
    failed = failed || pwrite(fd, &byte, 1, (off_t)place) != 1;
    close(fd);
    return failed ? -1 : 0;
}
