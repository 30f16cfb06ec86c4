// SPDX-License-Identifier: BSL-1.0
// A host that overwrites its arguments, as setproctitle() does, before it loads a
// plug-in and lets that start a process. The file "settings" in its folder says what
// else it overwrites, the start method and the plug-in: "title" keeps a copy of the
// environment, "wipe" keeps none, "close" is "title" and closes what it has inherited.
// Each run of it adds a line to the file "notes".
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace {

int add_line() {
    std::ofstream("notes", std::ios::app) << ::getpid() << std::endl;
    std::ifstream file("notes");
    int lines = 0;
    for (std::string line; std::getline(file, line); ++lines) {
    }
    return lines;
}

void overwrite(int argc, char** argv, bool keep_environment) {
    char* end = argv[argc - 1] + std::strlen(argv[argc - 1]);
    for (char** entry = environ; *entry != nullptr; ++entry) {
        end = *entry + std::strlen(*entry);
    }
    if (keep_environment) {
        static auto* const copies = new std::vector<char*>;  // for ever
        for (char** entry = environ; *entry != nullptr; ++entry) {
            copies->push_back(::strdup(*entry));
        }
        copies->push_back(nullptr);
        environ = copies->data();
    }
    std::memset(argv[0], 0, static_cast<std::size_t>(end - argv[0]));
    std::strcpy(argv[0], "host: serving");
}

}  // namespace

int main(int argc, char** argv) {
    std::ifstream settings("settings");
    std::string how;
    std::string method;
    std::string path;
    settings >> how >> method >> path;
    if (add_line() > 10) {
        return 50;  // the chain that must not be
    }
    overwrite(argc, argv, how != "wipe");
    if (how == "close") {
        for (int fd = 3; fd < 1024; ++fd) {
            ::close(fd);
        }
    }
    void* const plug_in = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (plug_in == nullptr) {
        std::printf("host: %s\n", ::dlerror());
        return 21;
    }
    auto* const start =
        reinterpret_cast<int (*)(const char*)>(::dlsym(plug_in, "plug_in_start"));
    return start != nullptr ? start(method.c_str()) : 22;
}
