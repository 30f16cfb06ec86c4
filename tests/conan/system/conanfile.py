"""The system's libraries under the names of ConanCenter's packages, so that a check needs no network:
packages without files, whose libraries are those that the compiler finds by itself.

conan create tests/conan/system --name=spdlog --version=1.10.0
"""
from conan import ConanFile

# name: components as (name, CMake target, libraries, requires, definitions)
COMPONENTS = {
    "boost": [
        ("headers", "Boost::headers", [], [], []),
        ("serialization", "Boost::serialization", ["boost_serialization"], ["headers"], []),
        ("filesystem", "Boost::filesystem", ["boost_filesystem"], ["headers"], []),
    ],
    "openssl": [("crypto", "OpenSSL::Crypto", ["crypto"], [], [])],
    "fmt": [("_fmt", "fmt::fmt", ["fmt"], [], [])],
    "spdlog": [("libspdlog", "spdlog::spdlog", ["spdlog"], ["fmt::_fmt"],
                ["SPDLOG_FMT_EXTERNAL", "SPDLOG_COMPILED_LIB", "SPDLOG_SHARED_LIB"])],
}
CMAKE_FILES = {"boost": "Boost", "openssl": "OpenSSL"}


class SystemConan(ConanFile):
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "without_serialization": [True, False], "header_only": [True, False]}
    default_options = {"shared": False, "without_serialization": False, "header_only": False}

    def requirements(self):
        if self.name == "spdlog":
            self.requires("fmt/[*]", transitive_headers=True, transitive_libs=True)

    def package_id(self):
        self.info.clear()

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", CMAKE_FILES.get(self.name, self.name))
        if self.name == "openssl":
            self.cpp_info.set_property("cmake_find_mode", "both")
        for name, target, libraries, requires, definitions in COMPONENTS[self.name]:
            if self.options.header_only and self.name == "spdlog":
                target, libraries, definitions = "spdlog::spdlog_header_only", [], ["SPDLOG_FMT_EXTERNAL"]
            component = self.cpp_info.components[name]
            component.set_property("cmake_target_name", target)
            component.includedirs = component.libdirs = component.bindirs = []
            component.system_libs = libraries
            component.requires = requires
            component.defines = definitions
