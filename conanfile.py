"""Conan 2 recipe: libmp (multiprocessing) and libfutures (concurrent.futures) for C++20 on Linux.

Written by the documentation; it is not run by the project's own tests, which have no Conan.
"""
from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout


class LibmpConan(ConanFile):
    name = "libmp"
    version = "0.1.0"
    license = "BSL-1.0"
    description = "Python's multiprocessing and concurrent.futures for C++20"
    topics = ("multiprocessing", "process-pool", "futures", "ipc")
    settings = "os", "arch", "compiler", "build_type"
    options = {"fPIC": [True, False]}
    default_options = {
        "fPIC": True,
        "boost/*:without_serialization": False,
    }
    exports_sources = "CMakeLists.txt", "LICENSE", "cmake/*", "libmp/*", "libfutures/*", "tools/reading_order.txt"

    def requirements(self):
        # What the headers show is transitive; OpenSSL is not shown.
        self.requires("boost/[>=1.81 <2]", transitive_headers=True)
        self.requires("spdlog/[>=1.10 <2]", transitive_headers=True)
        self.requires("openssl/[>=3 <4]")

    def validate(self):
        check_min_cppstd(self, 20)
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("libmp needs Linux: pidfd, memfd, futex")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["MP_BUILD_TESTS"] = False
        toolchain.cache_variables["MP_BUILD_TOOLS"] = False
        toolchain.cache_variables["MP_BUILD_EXAMPLES"] = False
        toolchain.cache_variables["MP_CCACHE"] = False
        toolchain.cache_variables["LIBMP_LINK_OPENSSL"] = True
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()

    def package_info(self):
        # The package's own libmpConfig.cmake knows the targets and the link options.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs.append("lib/cmake/libmp")
