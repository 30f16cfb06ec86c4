"""Conan 2 recipe: libmp (multiprocessing) and libfutures (concurrent.futures) for C++20 on Linux.

tools/checks/conan runs it, where there is a Conan. tools/packaging/conan-center has the recipe that
ConanCenter would take: the two differ in where the source comes from, and in nothing else.
"""
import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir
from conan.tools.scm import Version

required_conan_version = ">=2.0.9"

MAIN_RULE = os.path.join("cmake", "libmp_main.cmake")  # in the source and in the package


class LibmpConan(ConanFile):
    name = "libmp"
    license = "BSL-1.0"
    description = "Python's multiprocessing and concurrent.futures for C++20"
    topics = ("multiprocessing", "process-pool", "futures", "ipc")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    # concurrency: the library of that name, coroutines on Boost.Asio. mpi: libmp::mpi, executors over
    # an Open MPI job. source_lines: the files and lines of a crashed worker's stack, read by
    # libbacktrace.
    options = {
        "shared": [True, False],
        "fPIC": [True, False],
        "concurrency": [True, False],
        "mpi": [True, False],
        "source_lines": [True, False],
    }
    default_options = {
        "shared": False,
        "fPIC": True,
        "concurrency": True,
        "mpi": False,
        "source_lines": False,
        "boost/*:without_serialization": False,
    }
    implements = ["auto_shared_fpic"]
    exports_sources = ("CMakeLists.txt", "LICENSE", "cmake/*", "libmp/*", "libfutures/*",
                       "tools/reading_order.txt", "tests/*")
    test_package_folder = os.path.join("tests", "conan")

    def set_version(self):
        project = load(self, os.path.join(self.recipe_folder, "CMakeLists.txt"))
        self.version = self.version or re.search(r"project\(libmp VERSION ([\d.]+)", project)[1]

    @property
    def _with_tests(self):
        """Only when asked for: they take longer than the libraries."""
        return self.conf.get("tools.build:skip_test", default=True, check_type=bool) is False

    def layout(self):
        cmake_layout(self)
        # Where an editable package's files are, before anything is installed.
        libdirs, = self.cpp.build.libdirs
        folders = {"mp": "libmp", "main": "libmp", "futures": "libfutures"}
        if self.options.concurrency:
            folders["concurrency"] = "libfutures"
        if self.options.mpi:
            folders["mpi"] = "libfutures"
        for component, folder in folders.items():
            self.cpp.source.components[component].includedirs = [os.path.join(folder, "include")]
            self.cpp.build.components[component].libdirs = [os.path.normpath(os.path.join(folder, libdirs))]
            self.cpp.build.components[component].bindirs = []
        self.cpp.source.includedirs = self.cpp.build.libdirs = self.cpp.build.bindirs = []

    def requirements(self):
        # What our headers show, programs include and link, too. OpenSSL is not shown. Boost's
        # archives keep a register of types in their library: a shared libmp and the program must
        # have the same one.
        self.requires("boost/[>=1.81 <2]", transitive_headers=True, transitive_libs=True,
                      options={"shared": True} if self.options.shared else None)
        self.requires("spdlog/[>=1.10 <2]", transitive_headers=True, transitive_libs=True)
        self.requires("openssl/[>=3 <4]")
        if self.options.mpi:
            self.requires("openmpi/[>=4.1 <5]", transitive_headers=True, transitive_libs=True)
        if self.options.source_lines:
            self.requires("libbacktrace/cci.20210118")

    def build_requirements(self):
        self.tool_requires("cmake/[>=3.25]")
        if self._with_tests:
            self.test_requires("catch2/[>=2.13 <4]")

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("libmp needs Linux: pidfd, memfd, futex")
        check_min_cppstd(self, 20)
        floor = {"gcc": "12", "clang": "14"}.get(str(self.settings.compiler))
        if floor and Version(self.settings.compiler.version) < floor:
            raise ConanInvalidConfiguration(
                f"libmp needs {self.settings.compiler} {floor} or newer: older ones lack parts of C++20")
        if self.options.shared and not self.dependencies["boost"].options.get_safe("shared", True):
            raise ConanInvalidConfiguration("a shared libmp needs a shared Boost: -o 'boost/*:shared=True'")

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.user_presets_path = False  # nothing is written beside the sources
        toolchain.cache_variables["MP_BUILD_TESTS"] = self._with_tests
        toolchain.cache_variables["MP_BUILD_TOOLS"] = False
        toolchain.cache_variables["MP_BUILD_EXAMPLES"] = False
        toolchain.cache_variables["MP_CCACHE"] = False
        toolchain.cache_variables["MP_LLD"] = False
        toolchain.cache_variables["LIBMP_LINK_OPENSSL"] = True
        toolchain.cache_variables["LIBMP_CONCURRENCY"] = bool(self.options.concurrency)
        toolchain.cache_variables["LIBMP_MPI"] = bool(self.options.mpi)
        toolchain.cache_variables["LIBMP_SOURCE_LINES"] = bool(self.options.source_lines)
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()
        if self._with_tests:
            # Those left out compile against the system's Boost.
            cmake.ctest(["--output-on-failure", "-LE", "'stress|install'", "-E", "^refused/"])

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()
        # Conan's generators write the files by which others find us, as package_info() says.
        for folder in os.path.join("lib", "cmake"), os.path.join("lib", "pkgconfig"), "share":
            rmdir(self, os.path.join(self.package_folder, folder))
        copy(self, MAIN_RULE, self.source_folder, self.package_folder)

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "libmp")
        self.cpp_info.set_property("cmake_target_name", "libmp::libmp")
        self.cpp_info.set_property("cmake_build_modules", [MAIN_RULE])

        mp = self.cpp_info.components["mp"]
        mp.libs = ["mp"]
        mp.requires = ["boost::headers", "boost::serialization", "spdlog::spdlog", "openssl::crypto"]
        mp.system_libs = ["pthread", "dl"]
        # A function is named by its module's build-id and its offset there.
        mp.exelinkflags = ["-Wl,--build-id=sha1", "-Wl,-z,separate-code"]
        mp.sharedlinkflags = list(mp.exelinkflags)

        # Keeps main() from starting in a spawned child. CMake programs get it with mp, unless they
        # have the target property MP_NO_MAIN: MAIN_RULE sees to that. Others take the whole
        # package, or call mp::freeze_support().
        main = self.cpp_info.components["main"]
        main.libs = ["mp_main"]
        main.requires = ["mp"]
        main.exelinkflags = ["-Wl,--wrap=main", "-Wl,--undefined=main"]

        futures = self.cpp_info.components["futures"]
        futures.libs = ["futures"]
        futures.requires = ["mp"]
        if self.options.source_lines:
            futures.requires.append("libbacktrace::libbacktrace")

        libraries = ["mp", "futures"]
        if self.options.concurrency:
            libraries.append("concurrency")
            concurrency = self.cpp_info.components["concurrency"]
            concurrency.libs = ["concurrency"]
            concurrency.requires = ["futures"]
            if Version(self.dependencies["boost"].ref.version) >= "1.86":
                concurrency.requires.append("boost::process")  # headers only, before

        if self.options.mpi:
            libraries.append("mpi")
            mpi = self.cpp_info.components["mpi"]
            mpi.libs = ["futures_mpi"]  # libmpi is Open MPI's own
            mpi.requires = ["futures", "openmpi::openmpi"]

        for name in "main", *libraries:
            self.cpp_info.components[name].set_property("cmake_target_name", f"libmp::{name}")
        for name in libraries:  # as CMake installs them
            module = "futures_mpi" if name == "mpi" else name
            self.cpp_info.components[name].set_property("pkg_config_name", module)
            self.cpp_info.components[name].set_property("pkg_config_aliases", [f"libmp-{name}"])
