# Everything the libraries need from outside, in one place.
find_package(Threads REQUIRED)
find_package(spdlog REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS headers serialization filesystem
             OPTIONAL_COMPONENTS process)
