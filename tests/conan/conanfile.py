"""The package's test: the programs of tests/install, by the targets that Conan generates."""
import os

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout


class LibmpTestConan(ConanFile):
    settings = "os", "arch", "compiler", "build_type"

    def requirements(self):
        self.requires(self.tested_reference_str)

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

    def test(self):
        if can_run(self):
            programs = ["consumer", "consumer_without_main"]
            if self.dependencies["libmp"].options.concurrency:
                programs.append("concurrency")
            if self.dependencies["libmp"].options.mpi:
                programs.append("mpi")  # a job of one rank, without a launcher
            for program in programs:
                self.run(os.path.join(self.cpp.build.bindir, program), env="conanrun")
