"""A package between libmp and the program, which knows nothing of libmp."""
from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout


class BetweenConan(ConanFile):
    name = "between"
    version = "1.0"
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"component": ["all", "futures"]}
    default_options = {"component": "all"}
    exports_sources = "CMakeLists.txt", "between.*"
    test_package_folder = "test"

    def requirements(self):
        self.requires("libmp/[*]")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.user_presets_path = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()

    def package_info(self):
        self.cpp_info.libs = ["between"]
        if self.options.component != "all":
            self.cpp_info.requires = [f"libmp::{self.options.component}"]
