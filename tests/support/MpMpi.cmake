# What tests that run an MPI job have in common.

# A job of several ranks on few processors, in a container, by root; set for OpenMPI 4 and 5, and
# for MPICH. No network is looked for, which takes longest as a job starts.
set(MP_MPI_ENVIRONMENT
    OMPI_ALLOW_RUN_AS_ROOT=1
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    OMPI_MCA_rmaps_base_oversubscribe=1
    OMPI_MCA_hwloc_base_binding_policy=none
    OMPI_MCA_mpi_yield_when_idle=1
    OMPI_MCA_pml=ob1
    OMPI_MCA_btl_vader_single_copy_mechanism=none
    OMPI_MCA_plm_rsh_agent=false
    OMPI_MCA_opal_signal=
    PRTE_ALLOW_RUN_AS_ROOT=1
    PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
    PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
    HYDRA_LAUNCHER=fork)
if(MP_SANITIZE STREQUAL "address")
    # What OpenMPI never frees was allocated by parts of it that it has unloaded: they have no name
    # by which leaks could be told apart, unless the program keeps them.
    list(APPEND MP_MPI_ENVIRONMENT ASAN_OPTIONS=detect_leaks=0)
endif()

# mp_mpi_launcher(<variable> <ranks>): the words that start a program with so many ranks.
function(mp_mpi_launcher variable ranks)
    set(${variable} ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} PARENT_SCOPE)
endfunction()
