from bsqh_core.cli import main

raise SystemExit(main())
