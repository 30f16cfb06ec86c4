vcpkg_download_distfile(ARCHIVE
    URLS "@URL@"
    FILENAME "libmp-${VERSION}.tar.gz"
    SHA512 @SHA512@
)
vcpkg_extract_source_archive(SOURCE_PATH
    ARCHIVE "${ARCHIVE}"
)

vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
    FEATURES
        concurrency LIBMP_CONCURRENCY
)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        ${FEATURE_OPTIONS}
        -DMP_BUILD_TESTS=OFF
        -DMP_BUILD_TOOLS=OFF
        -DMP_BUILD_EXAMPLES=OFF
        -DMP_CCACHE=OFF
        -DMP_LLD=OFF
        -DCMAKE_INSTALL_LIBEXECDIR=tools/libmp
        -DLIBMP_LINK_OPENSSL=ON
        -DLIBMP_MPI=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(PACKAGE_NAME libmp CONFIG_PATH lib/cmake/libmp)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE
    "${CURRENT_PACKAGES_DIR}/debug/include"
    "${CURRENT_PACKAGES_DIR}/debug/share"
    "${CURRENT_PACKAGES_DIR}/debug/tools"
    "${CURRENT_PACKAGES_DIR}/share/doc"
)

file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
