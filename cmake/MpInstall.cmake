# Install and export: package libmp with components mp and futures, targets libmp::mp,
# libmp::futures and libmp::main. tests/install uses it as a stranger would.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/libmp)
install(TARGETS mp mp_main futures EXPORT libmp_targets FILE_SET HEADERS)
install(EXPORT libmp_targets
        NAMESPACE libmp:: FILE libmpTargets.cmake DESTINATION ${package_dir})

configure_package_config_file(
    ${CMAKE_CURRENT_LIST_DIR}/libmpConfig.cmake.in
    ${CMAKE_CURRENT_BINARY_DIR}/libmpConfig.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(
    ${CMAKE_CURRENT_BINARY_DIR}/libmpConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${CMAKE_CURRENT_BINARY_DIR}/libmpConfig.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/libmpConfigVersion.cmake
    DESTINATION ${package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libmp)
