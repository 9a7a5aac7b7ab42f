#include "mpi/parallel_h5.h"

int mim_parallel_h5_create(MPI_Comm comm, mim_parallel_h5 *lists)
{
    mim_parallel_h5 made = {H5Pcreate(H5P_FILE_ACCESS), H5Pcreate(H5P_DATASET_XFER)};
    if (made.access < 0 || made.transfer < 0 ||
        H5Pset_fapl_mpio(made.access, comm, MPI_INFO_NULL) < 0 ||
        H5Pset_all_coll_metadata_ops(made.access, true) < 0 ||
        H5Pset_coll_metadata_write(made.access, true) < 0 ||
        H5Pset_dxpl_mpio(made.transfer, H5FD_MPIO_COLLECTIVE) < 0) {
        mim_parallel_h5_clear(&made);
        return mim_fail(MIM_EUNSUP, "the HDF5 library was built without parallel access");
    }
    *lists = made;
    return MIM_OK;
}

void mim_parallel_h5_clear(mim_parallel_h5 *lists)
{
    if (lists->access > 0)
        H5Pclose(lists->access);
    if (lists->transfer > 0)
        H5Pclose(lists->transfer);
    lists->access = lists->transfer = 0;
}
