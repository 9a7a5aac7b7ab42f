#include "mpi/asleep.h"

#include "core/clock.h"

static const int64_t long_nap_ns = 10000000, short_nap_ns = 1000000;

static void nap(int64_t ns) { mim_clock_sleep_until(mim_clock_mono_ns() + ns); }

void mim_wait_asleep(MPI_Request *request)
{
    int is_there = 0;
    for (MPI_Test(request, &is_there, MPI_STATUS_IGNORE); !is_there;
         MPI_Test(request, &is_there, MPI_STATUS_IGNORE))
        nap(long_nap_ns);
}

void mim_barrier_asleep(MPI_Comm comm)
{
    MPI_Request request;
    MPI_Ibarrier(comm, &request);
    mim_wait_asleep(&request);
}

void mim_probe_asleep(MPI_Comm comm, int source, int tag, MPI_Status *status)
{
    int is_there = 0;
    for (MPI_Iprobe(source, tag, comm, &is_there, status); !is_there;
         MPI_Iprobe(source, tag, comm, &is_there, status))
        nap(short_nap_ns);
}
