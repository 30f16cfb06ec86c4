// SPDX-License-Identifier: BSL-1.0
// A host that knows nothing of libmp and has a main of its own: it loads the plug-in
// that its first argument names, and runs that with the other two.
#include <dlfcn.h>

#include <cstdio>

int main(int argc, char** argv) {
    if (argc != 4) {
        std::printf("host: other arguments than expected\n");
        return 20;
    }
    void* const plug_in = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (plug_in == nullptr) {
        std::printf("host: %s\n", ::dlerror());
        return 21;
    }
    auto* const run = reinterpret_cast<int (*)(const char*, const char*)>(
        ::dlsym(plug_in, "plug_in_run")
    );
    return run != nullptr ? run(argv[2], argv[3]) : 22;
}
